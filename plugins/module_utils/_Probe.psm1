# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -PowerShell ._Certificate
#AnsibleRequires -PowerShell ._EndpointText
#AnsibleRequires -PowerShell ._Http
#AnsibleRequires -PowerShell ._ScepUrl

# The state of one URL that is probed: what is known so far, which step it is in since when, and what it waits for.

$script:StepNames = @('dns', 'proxy', 'connect', 'tls', 'get_ca_caps', 'get_ca_cert', 'clock')
$script:Watch = [System.Diagnostics.Stopwatch]::StartNew()

function Get-ProbeTime { [long]$script:Watch.ElapsedMilliseconds }

function Get-EndpointKind {
    param ([Uri]$Uri)

    if (Test-ScepAikHostName -Name $Uri.IdnHost) { return 'aik' }
    if ($Uri.AbsolutePath -match '\A/certsrv/mscep/') { return 'ndes' }
    'other'
}

function Get-UriHost {
    param ([Uri]$Uri)

    if ($Uri.HostNameType -eq 'IPv6') { "[$($Uri.IdnHost)]" } else { $Uri.IdnHost }
}

function New-Probe {
    # One URL's state. Result is what is returned; the rest is what the steps hand on to each other.
    param ([string]$Url, [hashtable]$Setting)

    $steps = [ordered]@{}
    foreach ($name in $script:StepNames) { $steps[$name] = [ordered]@{ step = $name; ok = $null; duration_ms = $null; error = $null } }
    $uri = $null
    $valid = [Uri]::TryCreate($Url, [UriKind]::Absolute, [ref]$uri) -and $uri.Scheme -in @('http', 'https') -and
    $uri.Host -and -not $uri.UserInfo
    $name = $null
    if ($valid) {
        try {
            $name = $uri.IdnHost.ToLowerInvariant()
        } catch [System.UriFormatException] {
            $valid = $false
        }
    }
    @{
        Uri = $uri; Setting = $setting; Steps = $steps; Begun = Get-ProbeTime; Deadline = $null; Limit = $null
        Task = $null; State = $null; Step = $null; StepBegun = $null
        Proxy = $null; Addresses = @(); AddressIndex = 0; ConnectBy = $null; Client = $null; Stream = $null; Reused = $false
        Handshake = $null; Patient = $false; Aside = $null; Hello = $null
        Record = $null; Chain = $null; HandshakeError = $null; Operation = $null; Buffer = $null; Length = 0; Sent = $null
        Result = [ordered]@{
            url = $Url; kind = $(if ($valid) { Get-EndpointKind -Uri $uri } else { 'other' })
            scheme = $(if ($valid) { $uri.Scheme } else { $null }); host = $name; port = $(if ($valid) { $uri.Port } else { $null })
            ok = $false; failed_step = $null; failure = $null; detail = $null; duration_ms = 0
            steps = [object[]]@($steps.Values); dns = $null; proxy = [ordered]@{ address = $null; source = 'none' }
            tls = $null; http = $null; ca_caps = $null; ca_certificates = $null; clock_skew_seconds = $null
        }
    }
}

function Enter-ProbeStep {
    # Begins a step's time; a connection that is made again is not measured again.
    param ([hashtable]$Probe, [string]$Name)

    if ($Probe.Step -eq $Name) { return }
    $Probe.Step = $Name
    $Probe.StepBegun = Get-ProbeTime
}

function Exit-ProbeStep {
    param ([hashtable]$Probe, [bool]$Ok, [AllowNull()]$ErrorFact)

    $step = $Probe.Steps[$Probe.Step]
    if ($null -ne $step.ok -and $Ok) { return }
    $step.ok = $Ok
    $step.duration_ms = (Get-ProbeTime) - $Probe.StepBegun
    $step.error = $ErrorFact
}

function Get-ErrorFact {
    # An exception as data. Its message is in the host's language, so type, HRESULT and code come with it.
    param ([AllowNull()][Exception]$Exception)

    if ($null -eq $Exception) { return $null }
    $cause = $Exception.GetBaseException()
    $code = $null
    if ($cause -is [System.Net.Sockets.SocketException]) { $code = [string]$cause.SocketErrorCode }
    elseif ($cause -is [System.ComponentModel.Win32Exception]) { $code = '0x{0:x8}' -f $cause.NativeErrorCode }
    [ordered]@{
        type = $cause.GetType().FullName; hresult = '0x{0:x8}' -f $cause.HResult; code = $code
        message = ConvertTo-PlainText -Text $cause.Message -Limit 500
    }
}

function Complete-Probe {
    # Ends a probe; without a failure it was good.
    param ([hashtable]$Probe, [string]$Failure, [string]$Step, [AllowNull()][Exception]$Exception, [hashtable]$Word = @{})

    $Probe.Task = $null
    $Probe.State = $null
    if ($Probe.Client) { $Probe.Client.Close() }
    if ($Probe.Aside) { $Probe.Aside.Client.Close() }
    $result = $Probe.Result
    if ($Failure) {
        $result.failure = $Failure
        $result.failed_step = $Step
        $result.detail = Get-EndpointSentence -Failure $Failure -Endpoint $result -Word $Word
        # An earlier step may turn out bad only later; and an answer's status belongs to the request's step.
        if ($Probe.Step -and $Step -in $script:StepNames -and $Step -ne $Probe.Step) {
            $Probe.Steps[$Step].ok = $false
            $Probe.Steps[$Step].error = Get-ErrorFact -Exception $Exception
        } elseif ($Probe.Step) {
            Exit-ProbeStep -Probe $Probe -Ok $false -ErrorFact (Get-ErrorFact -Exception $Exception)
        }
    }
    $result.ok = -not $Failure
    $result.duration_ms = (Get-ProbeTime) - $Probe.Begun
}

function Wait-ProbeTask {
    # Lets a probe wait for a task in a state; Seconds is a limit below the one of the whole probe.
    param ([hashtable]$Probe, [string]$State, [System.Threading.Tasks.Task]$Task, [double]$Seconds = 0)

    $Probe.State = $State
    $Probe.Task = $Task
    $Probe.Limit = $Probe.Deadline
    if ($Seconds -gt 0) { $Probe.Limit = [Math]::Min($Probe.Deadline, (Get-ProbeTime) + [long]($Seconds * 1000)) }
}

function Get-NetworkFailure {
    # The word for an exception of the network, and for the step it came in.
    param ([AllowNull()][Exception]$Exception)

    $cause = if ($Exception) { $Exception.GetBaseException() }
    if ($cause -isnot [System.Net.Sockets.SocketException]) { return 'reset' }
    switch ([string]$cause.SocketErrorCode) {
        'ConnectionRefused' { 'refused' }
        'TimedOut' { 'timeout' }
        { $_ -in @('ConnectionReset', 'ConnectionAborted', 'Shutdown', 'Disconnecting', 'NotConnected') } { 'reset' }
        default { 'unreachable' }
    }
}

function Get-AnswerFailure {
    # The word for an answer that is not a whole 200; nothing if it is one.
    param ([hashtable]$Answer, [bool]$Proxied, [bool]$ClientCertificateWanted)

    if ($Answer.Problem -in @('closed', 'cut')) {
        if ($ClientCertificateWanted) { return 'client_certificate_wanted' }
        return 'reset'
    }
    if ($Answer.Problem) { return 'not_scep' }
    switch ($Answer.Status) {
        200 { return }
        401 { return 'unauthorized' }
        403 { if ($ClientCertificateWanted) { return 'client_certificate_wanted' } return 'forbidden' }
        404 { return 'not_found' }
        407 { if ($Proxied) { return 'proxy_authentication' } return 'other_status' }
        { $_ -in @(429, 503) } { return 'busy' }
        { $_ -ge 500 } { return 'server_error' }
    }
    'other_status'
}

function Measure-ProbeClock {
    # This host's clock minus the server's, from the first Date; it has whole seconds, cut off, so half a one is added.
    param ([hashtable]$Probe, [hashtable]$Headers)

    # A cache's answer carries the time of its making.
    if ($null -ne $Probe.Result.clock_skew_seconds -or $Headers.ContainsKey('age')) { return }
    $date = [DateTime]::MinValue
    $styles = [System.Globalization.DateTimeStyles]'AssumeUniversal, AdjustToUniversal'
    if (-not [DateTime]::TryParseExact([string]$Headers['date'], 'r', [CultureInfo]::InvariantCulture, $styles, [ref]$date)) { return }
    $received = [DateTime]::UtcNow
    $middle = $Probe.Sent.AddTicks([long](($received - $Probe.Sent).Ticks / 2))
    # Adding nought turns a negative nought into a plain one.
    $Probe.Result.clock_skew_seconds = [Math]::Round(($middle - $date.AddMilliseconds(500)).TotalSeconds, 1) + 0.0
}

function Get-ProbeFact {
    # Certificates as facts. The same ones come again and again: presented, built, and of the next URL.
    param ([hashtable]$Probe, [object[]]$Certificate)

    $known = $Probe.Setting.Facts
    $facts = foreach ($one in $Certificate) {
        $thumbprint = $one.Thumbprint
        if (-not $known.ContainsKey($thumbprint)) { $known[$thumbprint] = Get-ScepCertificateFact -Certificate $one }
        $known[$thumbprint]
    }
    , [object[]]@($facts)
}

Export-ModuleMember -Function Complete-Probe, Enter-ProbeStep, Exit-ProbeStep, Get-AnswerFailure, Get-NetworkFailure, Get-ProbeFact,
    Get-ProbeTime, Get-UriHost, Measure-ProbeClock, New-Probe, Wait-ProbeTask
