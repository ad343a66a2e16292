# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -PowerShell ._Http
#AnsibleRequires -PowerShell ._Probe
#AnsibleRequires -PowerShell ._ProbeTls
#AnsibleRequires -PowerShell ._Proxy
#AnsibleRequires -PowerShell ._Tls

# Asks SCEP services as an enrolling client would, step by step: name, proxy, connection, TLS, GetCACaps, GetCACert.
# All at once on one thread: a probe is either done or waits for one Task, and whatever Task is done first goes on. So many
# dead services cost one time-out, and no thread needs a runspace of its own.

$script:MaxAddresses = 4
$script:AnswerLimit = 2097152

function Resolve-ProbeProxy {
    # Which proxy, by the option. The account's settings are asked on another thread: they may have to look for a script.
    param ([hashtable]$Probe)

    $mode = $Probe.Setting.Proxy
    $proxy = $Probe.Result.proxy
    if ($mode -eq 'winhttp') {
        $found = Get-WinHttpProxy -Uri $Probe.Uri
        if ($found.Address) { $proxy.source = 'winhttp' }
        if ($found.Script) { $proxy['script'] = ConvertTo-PlainText -Text $found.Script -Limit 500 }
        if ($found.Problem) { $proxy['problem'] = ConvertTo-PlainText -Text $found.Problem -Limit 500 }
        Step-ProbeProxy -Probe $Probe -Address $found.Address
    } elseif ($mode -eq 'account') {
        $method = [System.Net.IWebProxy].GetMethod('GetProxy')
        $default = [System.Net.WebRequest]::DefaultWebProxy
        if ($null -eq $default) { return Step-ProbeProxy -Probe $Probe -Address $null }
        $task = Start-PoolCall -Instance $default -Method $method -Argument @(, $Probe.Uri)
        Wait-ProbeTask -Probe $Probe -State 'proxy_setting' -Task $task -Seconds $Probe.Setting.ConnectTimeout
    } elseif ($mode -eq 'none') {
        Step-ProbeProxy -Probe $Probe -Address $null
    } else {
        $proxy.source = 'option'
        Step-ProbeProxy -Probe $Probe -Address (ConvertTo-ProxyUri -Address $mode)
    }
}

function Step-ProbeProxy {
    # The proxy is known: look up its name, or that of the server.
    param ([hashtable]$Probe, [AllowNull()][Uri]$Address)

    $Probe.Proxy = $Address
    $name = $Probe.Uri.IdnHost
    if ($Address) {
        # Without a user name and password, which the account's settings may have.
        $Probe.Result.proxy.address = $Address.GetComponents([UriComponents]::SchemeAndServer, [UriFormat]::UriEscaped)
        $name = $Address.IdnHost
        Enter-ProbeStep -Probe $Probe -Name 'proxy'
    } else {
        Enter-ProbeStep -Probe $Probe -Name 'dns'
    }
    $lookups = $Probe.Setting.Lookups
    if (-not $lookups.ContainsKey($name)) { $lookups[$name] = [System.Net.Dns]::GetHostAddressesAsync($name) }
    Wait-ProbeTask -Probe $Probe -State 'dns' -Task $lookups[$name] -Seconds $Probe.Setting.ConnectTimeout
}

function Step-ProbeAddress {
    param ([hashtable]$Probe, [System.Net.IPAddress[]]$Addresses)

    if (-not $Probe.Proxy) {
        $Probe.Result.dns = [ordered]@{ addresses = [object[]]@(foreach ($address in $Addresses) { $address.ToString() }) }
        Exit-ProbeStep -Probe $Probe -Ok $true
    }
    $Probe.Addresses = @($Addresses[0..([Math]::Min($Addresses.Count, $script:MaxAddresses) - 1)])
    Start-ProbeConnection -Probe $Probe
}

function Start-ProbeConnection {
    # Connects to the first address, or begins anew for another request.
    param ([hashtable]$Probe)

    if (-not $Probe.Proxy) { Enter-ProbeStep -Probe $Probe -Name 'connect' }
    $Probe.AddressIndex = 0
    $Probe.ConnectBy = (Get-ProbeTime) + [long]($Probe.Setting.ConnectTimeout * 1000)
    Connect-ProbeAddress -Probe $Probe
}

function Connect-ProbeAddress {
    # Every address gets an equal part of what is left of the time.
    param ([hashtable]$Probe)

    $address = $Probe.Addresses[$Probe.AddressIndex]
    $port = if ($Probe.Proxy) { $Probe.Proxy.Port } else { $Probe.Uri.Port }
    $Probe.Client = [System.Net.Sockets.TcpClient]::new($address.AddressFamily)
    $Probe.Client.NoDelay = $true
    $left = [Math]::Max(1, $Probe.ConnectBy - (Get-ProbeTime)) / 1000.0 / ($Probe.Addresses.Count - $Probe.AddressIndex)
    Wait-ProbeTask -Probe $Probe -State 'connect' -Task $Probe.Client.ConnectAsync($address, $port) -Seconds $left
}

function Step-ProbeConnected {
    param ([hashtable]$Probe)

    $Probe.Stream = $Probe.Client.GetStream()
    if ($Probe.Proxy -and $Probe.Uri.Scheme -eq 'https') {
        $target = '{0}:{1}' -f (Get-UriHost -Uri $Probe.Uri), $Probe.Uri.Port
        $request = ConvertTo-HttpRequest -Method CONNECT -Target $target -HostHeader $target
        return Send-ProbeRequest -Probe $Probe -Operation 'CONNECT' -Request $request
    }
    Exit-ProbeStep -Probe $Probe -Ok $true
    Step-ProbeTransport -Probe $Probe
}

function Step-ProbeTransport {
    # There is a connection to the server itself, or to a proxy that passes requests on.
    param ([hashtable]$Probe)

    if ($Probe.Uri.Scheme -ne 'https') { return Start-ProbeOperation -Probe $Probe }
    Start-ProbeHandshake -Probe $Probe
}

function Start-ProbeOperation {
    # The next of the two requests.
    param ([hashtable]$Probe)

    $Probe.Operation = if ($Probe.Steps['get_ca_caps'].ok) { 'GetCACert' } else { 'GetCACaps' }
    $uri = $Probe.Uri
    $hostHeader = Get-UriHost -Uri $uri
    if (-not $uri.IsDefaultPort) { $hostHeader = '{0}:{1}' -f $hostHeader, $uri.Port }
    $separator = if ($uri.Query) { '&' } else { '?' }
    # Windows always sends this message, whatever the CA is called.
    $target = '{0}{1}operation={2}&message=default' -f $uri.PathAndQuery, $separator, $Probe.Operation
    if ($Probe.Proxy -and $uri.Scheme -eq 'http') { $target = "http://$hostHeader$target" }
    Enter-ProbeStep -Probe $Probe -Name $(if ($Probe.Operation -eq 'GetCACaps') { 'get_ca_caps' } else { 'get_ca_cert' })
    $request = ConvertTo-HttpRequest -Method GET -Target $target -HostHeader $hostHeader
    Send-ProbeRequest -Probe $Probe -Operation $Probe.Operation -Request $request
}

function Send-ProbeRequest {
    param ([hashtable]$Probe, [string]$Operation, [byte[]]$Request)

    $Probe.Operation = $Operation
    $Probe.Buffer = [byte[]]::new(16384)
    $Probe.Length = 0
    $Probe.Sent = [DateTime]::UtcNow
    Wait-ProbeTask -Probe $Probe -State 'write' -Task $Probe.Stream.WriteAsync($Request, 0, $Request.Length)
}

function Receive-ProbeBytes {
    param ([hashtable]$Probe)

    if ($Probe.Length -eq $Probe.Buffer.Length) {
        $larger = [byte[]]::new([Math]::Min($Probe.Length * 4, $script:AnswerLimit))
        [Array]::Copy($Probe.Buffer, $larger, $Probe.Length)
        $Probe.Buffer = $larger
    }
    $free = $Probe.Buffer.Length - $Probe.Length
    Wait-ProbeTask -Probe $Probe -State 'read' -Task $Probe.Stream.ReadAsync($Probe.Buffer, $Probe.Length, $free)
}

function Step-ProbeRead {
    param ([hashtable]$Probe, [int]$Count)

    $Probe.Length += $Count
    # A tunnel's answer has no body: what follows its head is the server's.
    $tunnel = $Probe.Operation -eq 'CONNECT'
    $answer = Read-HttpResponse -Buffer $Probe.Buffer -Length $Probe.Length -Ended ($Count -eq 0) -HeadOnly:$tunnel
    if ($null -eq $answer) { return Receive-ProbeBytes -Probe $Probe }
    if ($tunnel) { return Step-ProbeTunnel -Probe $Probe -Answer $answer }
    if ($null -ne $answer.Status) {
        $http = [ordered]@{ status = $answer.Status; reason = $answer.Reason }
        $location = [string]$answer.Headers['location']
        if ($location) { $http['location'] = ConvertTo-PlainText -Text $location -Limit 2048 }
        $Probe.Result.http = $http
        Measure-ProbeClock -Probe $Probe -Headers $answer.Headers
    }
    if ($answer.Problem -eq 'closed' -and $Probe.Reused) { return Restart-ProbeRequest -Probe $Probe }
    $asked = Test-ClientCertificateWanted -Probe $Probe
    $failure = Get-AnswerFailure -Answer $answer -Proxied ($null -ne $Probe.Proxy) -ClientCertificateWanted $asked
    if ($failure) {
        $step = if ($failure -eq 'proxy_authentication') { 'proxy' }
        elseif ($failure -eq 'not_scep' -and $answer.Status) { 'scep' }
        else { 'http' }
        $word = @{ Operation = $Probe.Operation; Status = $answer.Status; Reason = $answer.Reason; Problem = $answer.Problem }
        return Complete-Probe -Probe $Probe -Failure $failure -Step $step -Word $word
    }
    Step-ProbeAnswer -Probe $Probe -Answer $answer
}

function Step-ProbeTunnel {
    param ([hashtable]$Probe, [hashtable]$Answer)

    if ($Answer.Status -eq 200) {
        Exit-ProbeStep -Probe $Probe -Ok $true
        return Step-ProbeTransport -Probe $Probe
    }
    $failure = if ($Answer.Status -eq 407) { 'proxy_authentication' } else { 'proxy_refused' }
    Complete-Probe -Probe $Probe -Failure $failure -Step proxy -Word @{ Status = $Answer.Status; Reason = $Answer.Reason }
}

function Step-ProbeAnswer {
    # A whole 200 to one of the two requests.
    param ([hashtable]$Probe, [hashtable]$Answer)

    $result = $Probe.Result
    if ($Probe.Operation -eq 'GetCACaps') {
        $found = Read-CaCapability -Body $Answer.Body
        if ($null -ne $found) { $result.ca_caps = [object[]]$found }
    } else {
        $found = Read-CaCertificate -Body $Answer.Body
        if ($null -ne $found) { $result.ca_certificates = Get-ProbeFact -Probe $Probe -Certificate $found }
    }
    if ($null -eq $found) {
        return Complete-Probe -Probe $Probe -Failure not_scep -Step scep -Word @{ Operation = $Probe.Operation; Status = 200 }
    }
    Exit-ProbeStep -Probe $Probe -Ok $true
    if ($Probe.Operation -eq 'GetCACaps') {
        if (-not $Answer.KeepAlive) { return Restart-ProbeRequest -Probe $Probe }
        $Probe.Reused = $true
        return Start-ProbeOperation -Probe $Probe
    }
    Enter-ProbeStep -Probe $Probe -Name 'clock'
    $skew = $result.clock_skew_seconds
    if ($null -ne $skew) {
        if ([Math]::Abs($skew) -gt $Probe.Setting.MaxClockSkew) {
            return Complete-Probe -Probe $Probe -Failure clock_skew -Step clock
        }
        Exit-ProbeStep -Probe $Probe -Ok $true
    }
    Complete-Probe -Probe $Probe
}

function Step-Probe {
    # A probe's task is done: what follows.
    param ([hashtable]$Probe, [System.Threading.Tasks.Task]$Task)

    $exception = if ($Task.IsFaulted) { $Task.Exception.GetBaseException() }
    elseif ($Task.IsCanceled) { [System.OperationCanceledException]::new() }
    switch ($Probe.State) {
        'proxy_setting' {
            $address = if (-not $exception -and $Task.Result -and $Task.Result -ne $Probe.Uri) { $Task.Result }
            if ($address) { $Probe.Result.proxy.source = 'account' }
            Step-ProbeProxy -Probe $Probe -Address $address
        }
        'dns' {
            if (-not $exception -and $Task.Result.Count -gt 0) { return Step-ProbeAddress -Probe $Probe -Addresses $Task.Result }
            if ($Probe.Proxy) { return Complete-Probe -Probe $Probe -Failure proxy_unreachable -Step proxy -Exception $exception }
            # WSATRY_AGAIN: the name server got no answer from the one that would know.
            $again = $exception -is [System.Net.Sockets.SocketException] -and $exception.SocketErrorCode -eq 'TryAgain'
            $failure = if ($again) { 'dns_timeout' } else { 'name_not_resolved' }
            Complete-Probe -Probe $Probe -Failure $failure -Step dns -Exception $exception
        }
        'connect' {
            if (-not $exception) { return Step-ProbeConnected -Probe $Probe }
            Step-ProbeNextAddress -Probe $Probe -Exception $exception
        }
        'handshake' { if (Step-ProbeHandshake -Probe $Probe -Exception $exception) { Start-ProbeOperation -Probe $Probe } }
        { $_ -like 'hello_*' } { Step-ProbeHelloTask -Probe $Probe -Task $Task -Exception $exception }
        'chain' {
            if ($exception) { return Complete-Probe -Probe $Probe -Failure tls_failed -Step tls -Exception $exception }
            if (Step-ProbeChain -Probe $Probe) { Start-ProbeOperation -Probe $Probe }
        }
        'write' {
            if ($exception) { return Stop-ProbeRequest -Probe $Probe -Exception $exception }
            Receive-ProbeBytes -Probe $Probe
        }
        'read' {
            if ($exception) { return Stop-ProbeRequest -Probe $Probe -Exception $exception }
            Step-ProbeRead -Probe $Probe -Count $Task.Result
        }
    }
}

function Step-ProbeNextAddress {
    # An address does not answer: the next one, or the end.
    param ([hashtable]$Probe, [AllowNull()][Exception]$Exception, [string]$Failure = (Get-NetworkFailure -Exception $Exception))

    $Probe.Client.Close()
    if ($Probe.AddressIndex + 1 -lt $Probe.Addresses.Count -and (Get-ProbeTime) -lt $Probe.Deadline) {
        $Probe.AddressIndex++
        return Connect-ProbeAddress -Probe $Probe
    }
    if ($Probe.Proxy) { return Complete-Probe -Probe $Probe -Failure proxy_unreachable -Step proxy -Exception $Exception }
    Complete-Probe -Probe $Probe -Failure $Failure -Step connect -Exception $Exception
}

function Restart-ProbeRequest {
    # The request that is due goes over a new connection: the server has closed the old one, as it may.
    param ([hashtable]$Probe)

    $Probe.Reused = $false
    $Probe.Client.Close()
    Start-ProbeConnection -Probe $Probe
}

function Stop-ProbeRequest {
    # The connection broke in the middle of a request.
    param ([hashtable]$Probe, [AllowNull()][Exception]$Exception)

    if ($Probe.Reused -and $Probe.Length -eq 0) { return Restart-ProbeRequest -Probe $Probe }
    if ($Probe.Operation -eq 'CONNECT') {
        return Complete-Probe -Probe $Probe -Failure proxy_refused -Step proxy -Exception $Exception
    }
    # TLS 1.3 clients learn only here that the server does not go on without a certificate.
    if (Test-ClientCertificateWanted -Probe $Probe) {
        return Complete-Probe -Probe $Probe -Failure client_certificate_wanted -Step tls -Exception $Exception
    }
    $failure = Get-NetworkFailure -Exception $Exception
    Complete-Probe -Probe $Probe -Failure $failure -Step http -Exception $Exception -Word @{ Operation = $Probe.Operation }
}

function Stop-Probe {
    # A probe's time is up.
    param ([hashtable]$Probe)

    switch ($Probe.State) {
        'proxy_setting' { return Step-ProbeProxy -Probe $Probe -Address $null }
        'dns' {
            $failure = if ($Probe.Proxy) { 'proxy_unreachable' } else { 'dns_timeout' }
            return Complete-Probe -Probe $Probe -Failure $failure -Step $Probe.Step
        }
        'connect' { return Step-ProbeNextAddress -Probe $Probe -Failure timeout }
        'chain' {
            $failure = if ($Probe.Setting.CheckRevocation) { 'revocation_unreachable' } else { 'tls_failed' }
            $Probe.Result.tls.failures = [object[]]@($failure)
            return Complete-Probe -Probe $Probe -Failure $failure -Step tls -Word @{ Problem = 'slow_chain' }
        }
        { $_ -like 'hello_*' } { return Step-ProbeHello -Probe $Probe -Hello $null }
        'handshake' { return Stop-ProbeHandshake -Probe $Probe }
    }
    if ($Probe.Operation -eq 'CONNECT') { return Complete-Probe -Probe $Probe -Failure proxy_unreachable -Step proxy }
    Complete-Probe -Probe $Probe -Failure timeout -Step http -Word @{ Operation = $Probe.Operation }
}

function Invoke-ProbeStep {
    # Some calls fail at once and not in their task; one URL's trouble must not be that of the others.
    param ([hashtable]$Probe, [scriptblock]$Action)

    try {
        & $Action
    } catch {
        $cause = $_.Exception.GetBaseException()
        $network = $cause -is [System.Net.Sockets.SocketException] -or $cause -is [System.IO.IOException]
        $failure = if ($Probe.Step -eq 'dns') { 'name_not_resolved' }
        elseif ($network) { Get-NetworkFailure -Exception $cause }
        else { 'probe_failed' }
        $step = if ($Probe.Step -like 'get_*') { 'http' } else { [string]$Probe.Step }
        Complete-Probe -Probe $Probe -Failure $failure -Step $step -Exception $cause
    }
}

function Get-ScepEndpoint {
    <#
    .SYNOPSIS
    What happens when this host asks SCEP services for GetCACaps and GetCACert: one dictionary a URL, in their order.
    .DESCRIPTION
    Never throws for what a server or the network does. See the module endpoint_info for the shape.
    .PARAMETER Timeout
    Seconds for each URL; all are asked at once.
    .PARAMETER ConnectTimeout
    Seconds at most of that for the name, and for the connection.
    .PARAMETER ChainTimeout
    Seconds on top of that for Windows to build the chain of a server that answers.
    .PARAMETER Proxy
    winhttp, account, none, or a proxy's address.
    .PARAMETER ExpectedIssuer
    SHA-256 or names of certificates, one of which has to be in a server's chain.
    #>
    param (
        [Parameter(Mandatory = $true)][AllowEmptyCollection()][AllowEmptyString()][string[]]$Url,
        [double]$Timeout = 15,
        [double]$ConnectTimeout = 5,
        [double]$ChainTimeout = 30,
        [bool]$CheckRevocation = $true,
        [string]$Proxy = 'winhttp',
        [AllowEmptyCollection()][string[]]$ExpectedIssuer = @(),
        [double]$MaxClockSkew = 120
    )

    $setting = @{
        ConnectTimeout = $ConnectTimeout; ChainTimeout = $ChainTimeout; CheckRevocation = $CheckRevocation; Proxy = $Proxy
        ExpectedIssuer = $ExpectedIssuer; MaxClockSkew = $MaxClockSkew; Lookups = @{}; Facts = @{}
    }
    # Look-ups block a thread of the pool each, and it grows slowly beyond its minimum.
    $workers = 0
    $completion = 0
    [System.Threading.ThreadPool]::GetMinThreads([ref]$workers, [ref]$completion)
    $wanted = [Math]::Min(64, 2 * $Url.Count + 4)
    if ($workers -lt $wanted) { [void][System.Threading.ThreadPool]::SetMinThreads($wanted, $completion) }

    $probes = @(foreach ($entry in $Url) { New-Probe -Url $entry -Setting $setting })
    foreach ($probe in $probes) {
        $probe.Deadline = $probe.Begun + [long]($Timeout * 1000)
        if ($null -eq $probe.Result.scheme) { Complete-Probe -Probe $probe -Failure bad_url -Step url }
        else { $null = Invoke-ProbeStep -Probe $probe -Action { Resolve-ProbeProxy -Probe $probe } }
    }
    while ($true) {
        $waiting = @(foreach ($probe in $probes) { if ($probe.Task) { $probe } })
        if ($waiting.Count -eq 0) { break }
        $limit = $waiting[0].Limit
        foreach ($probe in $waiting) { $limit = [Math]::Min($limit, $probe.Limit) }
        $tasks = [System.Threading.Tasks.Task[]]@(foreach ($probe in $waiting) { $probe.Task })
        [void][System.Threading.Tasks.Task]::WaitAny($tasks, [int][Math]::Max(0, $limit - (Get-ProbeTime)))
        foreach ($probe in $waiting) {
            $task = $probe.Task
            if ($task.IsCompleted) {
                $probe.Task = $null
                $null = Invoke-ProbeStep -Probe $probe -Action { Step-Probe -Probe $probe -Task $task }
            } elseif ((Get-ProbeTime) -ge $probe.Limit) {
                $probe.Task = $null
                $null = Invoke-ProbeStep -Probe $probe -Action { Stop-Probe -Probe $probe }
            }
        }
    }
    foreach ($probe in $probes) { $probe.Result }
}

Export-ModuleMember -Function Get-ScepEndpoint
