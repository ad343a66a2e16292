# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What a TLS server presents, and what this host makes of it. The handshake accepts any certificate in order to see it;
# whether it is good is judged afterwards, and nothing may be sent before. Decided by flags, types and numbers alone:
# texts are in the system's language, and differ between Schannel and others.

$script:ServerAuthentication = '1.3.6.1.5.5.7.3.1'
$script:PolicyErrorNames = @('RemoteCertificateNotAvailable', 'RemoteCertificateNameMismatch', 'RemoteCertificateChainErrors')
$script:Recorded = $null
$script:OnServerCertificate = $null
$script:OnClientCertificateRequest = $null

# Worst first. Those of trust come late: where something else is wrong too, trusting a root would not help.
$script:FailureOrder = @('intercepted', 'revoked', 'expired', 'not_yet_valid', 'name_mismatch', 'wrong_usage',
    'untrusted_root', 'missing_intermediate', 'tls_failed', 'revocation_unreachable')

function Start-PoolCall {
    <#
    .SYNOPSIS
    Calls an instance's method on a thread of the pool, where a script block could not run; a Task[object].
    #>
    param (
        [Parameter(Mandatory = $true)]$Instance,
        [Parameter(Mandatory = $true)][System.Reflection.MethodInfo]$Method,
        [object[]]$Argument = @()
    )

    $expression = [System.Linq.Expressions.Expression]
    $constants = [System.Linq.Expressions.Expression[]]@(foreach ($item in $Argument) { $expression::Constant($item) })
    $call = $expression::Convert($expression::Call($expression::Constant($Instance), $Method, $constants), [object])
    $function = $expression::Lambda([Func[object]], $call, [System.Linq.Expressions.ParameterExpression[]]@()).Compile()
    [System.Threading.Tasks.Task[object]]::Factory.StartNew($function)
}

# SslStream's callbacks run on threads of the pool, where there is no runspace for a script block. So they are expression
# trees, compiled once: they put what they are given into a queue, together with the stream that it belongs to.
function Initialize-TlsCallback {
    if ($null -ne $script:Recorded) { return }
    # Or Windows PowerShell would refuse SslProtocols.None, and offer no TLS 1.3. Read once, at the first use; .NET Framework
    # before 4.6 has no such switches.
    $context = 'System.AppContext' -as [type]
    if ($null -ne $context) { $context::SetSwitch('Switch.System.Net.DontEnableSystemDefaultTlsVersions', $false) }
    $expression = [System.Linq.Expressions.Expression]
    $x509 = 'System.Security.Cryptography.X509Certificates'
    $certificateType = [System.Security.Cryptography.X509Certificates.X509Certificate]
    $script:Recorded = [System.Collections.Concurrent.ConcurrentQueue[object[]]]::new()
    $queue = $expression::Constant($script:Recorded)
    $enqueue = $script:Recorded.GetType().GetMethod('Enqueue')
    $rawData = $certificateType.GetMethod('GetRawCertData', [type[]]@())

    $sender = $expression::Parameter([object], 'sender')
    $certificate = $expression::Parameter($certificateType, 'certificate')
    $chain = $expression::Parameter([type]"$x509.X509Chain", 'chain')
    $errors = $expression::Parameter([System.Net.Security.SslPolicyErrors], 'sslPolicyErrors')
    $export = ([type]"$x509.X509Certificate2Collection").GetMethod('Export', [type[]]@([type]"$x509.X509ContentType"))
    $pkcs7 = $expression::Constant([System.Security.Cryptography.X509Certificates.X509ContentType]::Pkcs7)
    $presented = $expression::Property($expression::Property($chain, 'ChainPolicy'), 'ExtraStore')
    # The chain itself is disposed of after the call.
    $elementType = [System.Security.Cryptography.X509Certificates.X509ChainElement]
    $element = $expression::Parameter($elementType, 'element')
    $fact = $expression::NewArrayInit([object], [System.Linq.Expressions.Expression[]]@(
            $expression::Convert($expression::Property($expression::Property($element, 'Certificate'), 'RawData'), [object])
            $expression::Convert($expression::Property($element, 'ChainElementStatus'), [object])))
    $toFact = $expression::Lambda([Func`2].MakeGenericType($elementType, [object[]]), $fact,
        [System.Linq.Expressions.ParameterExpression[]]@($element))
    $elements = $expression::Property($chain, 'ChainElements')
    $linq = [System.Linq.Enumerable]
    $elements = $expression::Call($linq, 'Cast', [type[]]@($elementType), [System.Linq.Expressions.Expression[]]@($elements))
    $facts = $expression::Call($linq, 'Select', [type[]]@($elementType, [object[]]),
        [System.Linq.Expressions.Expression[]]@($elements, $toFact))
    $built = $expression::Call($linq, 'ToArray', [type[]]@([object[]]), [System.Linq.Expressions.Expression[]]@($facts))
    $entry = $expression::NewArrayInit([object], [System.Linq.Expressions.Expression[]]@(
            $sender
            $expression::Convert($expression::Call($certificate, $rawData), [object])
            $expression::Convert($expression::Call($presented, $export, [System.Linq.Expressions.Expression[]]@($pkcs7)), [object])
            $expression::Convert($errors, [object])
            $expression::Convert($built, [object])
            $expression::Convert($expression::Property($chain, 'ChainStatus'), [object])))
    $body = $expression::Block([System.Linq.Expressions.Expression[]]@(
            $expression::Call($queue, $enqueue, [System.Linq.Expressions.Expression[]]@($entry))
            $expression::Constant($true)))
    $script:OnServerCertificate = $expression::Lambda([System.Net.Security.RemoteCertificateValidationCallback], $body,
        [System.Linq.Expressions.ParameterExpression[]]@($sender, $certificate, $chain, $errors)).Compile()

    # Asked before the handshake too, without a server's certificate; with one, the server wants the client's.
    $remote = $expression::Parameter($certificateType, 'remoteCertificate')
    $entry = $expression::NewArrayInit([object], [System.Linq.Expressions.Expression[]]@(
            $sender, $expression::Convert($expression::Call($remote, $rawData), [object])))
    $body = $expression::Block([System.Linq.Expressions.Expression[]]@(
            $expression::IfThen(
                $expression::NotEqual($remote, $expression::Constant($null, $certificateType)),
                $expression::Call($queue, $enqueue, [System.Linq.Expressions.Expression[]]@($entry)))
            $expression::Constant($null, $certificateType)))
    $script:OnClientCertificateRequest = $expression::Lambda([System.Net.Security.LocalCertificateSelectionCallback], $body,
        [System.Linq.Expressions.ParameterExpression[]]@(
            $sender
            $expression::Parameter([string], 'targetHost')
            $expression::Parameter([type]"$x509.X509CertificateCollection", 'localCertificates')
            $remote
            $expression::Parameter([string[]], 'acceptableIssuers'))).Compile()
}

function New-TlsStream {
    <#
    .SYNOPSIS
    An SslStream over a stream that records what the server presents, and accepts it.
    #>
    param ([Parameter(Mandatory = $true)][System.IO.Stream]$Stream)

    Initialize-TlsCallback
    [System.Net.Security.SslStream]::new($Stream, $false, $script:OnServerCertificate, $script:OnClientCertificateRequest)
}

function Start-TlsHandshake {
    <#
    .SYNOPSIS
    Begins the handshake with the protocols that the system has enabled; a Task.
    .DESCRIPTION
    On a thread of the pool: where the server is quick, the call goes on to the chain without coming back, and Windows may
    look for an issuer for a quarter of a minute.
    #>
    param ([Parameter(Mandatory = $true)][System.Net.Security.SslStream]$Stream, [Parameter(Mandatory = $true)][string]$HostName)

    $expression = [System.Linq.Expressions.Expression]
    $collection = [System.Security.Cryptography.X509Certificates.X509CertificateCollection]
    $protocols = [System.Security.Authentication.SslProtocols]
    $older = [System.Security.Authentication.SslProtocols]($protocols::Tls -bor $protocols::Tls11 -bor $protocols::Tls12)
    $method = $Stream.GetType().GetMethod('AuthenticateAsClientAsync', [type[]]@([string], $collection, $protocols, [bool]))
    $calls = @(foreach ($choice in $protocols::None, $older) {
            $expression::Call($expression::Constant($Stream), $method, [System.Linq.Expressions.Expression[]]@(
                    $expression::Constant($HostName)
                    $expression::Constant($null, $collection)
                    $expression::Constant($choice)
                    $expression::Constant($false)))
        })
    # .NET Framework before 4.7, or told to behave like it before this could say otherwise, does not take None. Schannel
    # leaves out again what the system has disabled.
    $older = $expression::Catch([ArgumentException], $calls[1])
    $body = $expression::TryCatch($calls[0], [System.Linq.Expressions.CatchBlock[]]@($older))
    $function = $expression::Lambda([Func[System.Threading.Tasks.Task]], $body, [System.Linq.Expressions.ParameterExpression[]]@())
    # Not Task.Run, whose overloads leave it to PowerShell which one is meant.
    $started = [System.Threading.Tasks.Task[System.Threading.Tasks.Task]]::Factory.StartNew($function.Compile())
    [System.Threading.Tasks.TaskExtensions]::Unwrap($started)
}

function Get-TlsRecord {
    <#
    .SYNOPSIS
    What was recorded of a handshake: Leaf (null if none was presented), Presented (leaf first), PolicyErrors (names),
    Chain (as an X509Chain, as far as Get-ChainStatus needs it), ClientCertificateWanted.
    #>
    param ([Parameter(Mandatory = $true)][System.Net.Security.SslStream]$Stream)

    $record = @{ Leaf = $null; Presented = @(); PolicyErrors = @(); Chain = $null; ClientCertificateWanted = $false }
    foreach ($entry in $script:Recorded.ToArray()) {
        if (-not [object]::ReferenceEquals($entry[0], $Stream)) { continue }
        $leaf = [System.Security.Cryptography.X509Certificates.X509Certificate2]::new([byte[]]$entry[1])
        if ($null -eq $record.Leaf) {
            $record.Leaf = $leaf
            $record.Presented = @($leaf)
        }
        if ($entry.Length -eq 2) {
            $record.ClientCertificateWanted = $true
            continue
        }
        $others = [System.Security.Cryptography.X509Certificates.X509Certificate2Collection]::new()
        $others.Import([byte[]]$entry[2])
        $record.Presented = @($leaf) + @(foreach ($other in $others) { if ($other.Thumbprint -ne $leaf.Thumbprint) { $other } })
        $record.PolicyErrors = @(foreach ($name in $script:PolicyErrorNames) {
                if ([int]$entry[3] -band [int][System.Net.Security.SslPolicyErrors]$name) { $name }
            })
        $elements = foreach ($element in $entry[4]) {
            $certificate = [System.Security.Cryptography.X509Certificates.X509Certificate2]::new([byte[]]$element[0])
            [PSCustomObject]@{ Certificate = $certificate; ChainElementStatus = $element[1] }
        }
        $record.Chain = [PSCustomObject]@{ ChainElements = @($elements); ChainStatus = $entry[5] }
    }
    $record
}

function New-ServerChain {
    <#
    .SYNOPSIS
    A chain to be built for a server's certificate, with this machine's stores and what the server presented.
    #>
    param ([Parameter(Mandatory = $true)][object[]]$Presented, [bool]$CheckRevocation, [TimeSpan]$RetrievalTimeout)

    # The machine's context: what only the connecting account trusts is not there for enrolment by the system.
    $chain = [System.Security.Cryptography.X509Certificates.X509Chain]::new($true)
    $policy = $chain.ChainPolicy
    $policy.RevocationMode = if ($CheckRevocation) { 'Online' } else { 'NoCheck' }
    $policy.RevocationFlag = 'ExcludeRoot'
    $policy.UrlRetrievalTimeout = $RetrievalTimeout
    [void]$policy.ApplicationPolicy.Add([System.Security.Cryptography.Oid]::new($script:ServerAuthentication))
    foreach ($certificate in $Presented) { [void]$policy.ExtraStore.Add($certificate) }
    $chain
}

function Start-ChainBuild {
    <#
    .SYNOPSIS
    Builds a chain on another thread, as it may have to fetch lists and certificates; a Task.
    #>
    param ([Parameter(Mandatory = $true)]$Chain, [Parameter(Mandatory = $true)]$Leaf)

    $method = $Chain.GetType().GetMethod('Build', [type[]]@([System.Security.Cryptography.X509Certificates.X509Certificate2]))
    Start-PoolCall -Instance $Chain -Method $method -Argument @(, $Leaf)
}

function Test-RevocationSource {
    # Whether a certificate says where its revocation can be looked up: a CRL (2.5.29.31), or OCSP (1.3.6.1.5.5.7.48.1).
    param ($Certificate)

    foreach ($extension in $Certificate.Extensions) {
        if ($extension.Oid.Value -eq '2.5.29.31') { return $true }
        if ($extension.Oid.Value -eq '1.3.6.1.5.5.7.1.1' -and
            [BitConverter]::ToString($extension.RawData).Contains('2B-06-01-05-05-07-30-01')) { return $true }
    }
    $false
}

function Get-ChainStatus {
    <#
    .SYNOPSIS
    What is held against a chain that was built: objects with Name (of X509ChainStatusFlags) and the Certificate it is about.
    .DESCRIPTION
    Windows tells at an element what is wrong with its certificate. What is wrong with the chain alone (PartialChain, and
    trust lists) it tells at the chain only, which otherwise sums up its elements: that is about the last certificate.
    #>
    param ([Parameter(Mandatory = $true)]$Chain)

    $elements = @($Chain.ChainElements)
    $told = @{ NoError = $true }
    foreach ($element in $elements) {
        foreach ($status in $element.ChainElementStatus) {
            $name = [string]$status.Status
            if ($name -eq 'NoError') { continue }
            $told[$name] = $true
            [PSCustomObject]@{ Name = $name; Certificate = $element.Certificate }
        }
    }
    foreach ($status in $Chain.ChainStatus) {
        $name = [string]$status.Status
        if (-not $told.ContainsKey($name)) { [PSCustomObject]@{ Name = $name; Certificate = $elements[-1].Certificate } }
    }
}

function Test-ExpectedIssuer {
    # Whether one of the names or SHA-256 that are expected is in a chain of facts, or is the issuer that it lacks.
    param ([object[]]$Chain, [string[]]$Expected)

    foreach ($wanted in $Expected) {
        foreach ($fact in $Chain) {
            if ($fact.sha256 -eq $wanted -or $fact.subject -eq $wanted -or $fact.issuer -eq $wanted) { return $true }
        }
    }
    $false
}

function Get-TlsFailure {
    <#
    .SYNOPSIS
    What is wrong with a server's certificate: words, worst first; none if it is good.
    .PARAMETER Status
    What Get-ChainStatus says of the chain.
    .PARAMETER Built
    The chain's certificates as facts, the server's own first.
    .PARAMETER Expected
    SHA-256 or names, one of which has to be in the chain; or the pattern of a name, for services of one known owner.
    #>
    param (
        [Parameter(Mandatory = $true)][AllowEmptyCollection()][object[]]$Status,
        [Parameter(Mandatory = $true)][object[]]$Built,
        [AllowEmptyCollection()][string[]]$PolicyErrors,
        [AllowEmptyCollection()][string[]]$Expected,
        [AllowEmptyString()][string]$ExpectedPattern
    )

    $found = [System.Collections.Generic.HashSet[string]]::new()
    $now = [DateTime]::Now
    $complete = $true
    foreach ($one in $Status) {
        switch ($one.Name) {
            'NotTimeValid' { [void]$found.Add($(if ($one.Certificate.NotBefore -gt $now) { 'not_yet_valid' } else { 'expired' })) }
            'Revoked' { [void]$found.Add('revoked') }
            'NotValidForUsage' { [void]$found.Add('wrong_usage') }
            'UntrustedRoot' { [void]$found.Add('untrusted_root') }
            'PartialChain' {
                $complete = $false
                # A server leaves out its root, as it may: with more than its own certificate there, that is what is missing.
                [void]$found.Add($(if ($Built.Count -gt 1) { 'untrusted_root' } else { 'missing_intermediate' }))
            }
            { $_ -in @('RevocationStatusUnknown', 'OfflineRevocation') } {
                # One that names no list can't be looked up by anybody; Windows' HTTP client lets it pass too.
                if (Test-RevocationSource -Certificate $one.Certificate) { [void]$found.Add('revocation_unreachable') }
            }
            default { [void]$found.Add('tls_failed') }
        }
    }
    if ($PolicyErrors -contains 'RemoteCertificateNameMismatch') { [void]$found.Add('name_mismatch') }
    if ($Expected.Count -gt 0) {
        # An incomplete chain whose missing part is only known by name says nothing about a fingerprint.
        $named = @($Expected -match '\A[0-9a-f]{64}\z').Count -eq 0
        if (($complete -or $named) -and -not (Test-ExpectedIssuer -Chain $Built -Expected $Expected)) { [void]$found.Add('intercepted') }
    }
    if ($ExpectedPattern) {
        $matching = @(foreach ($fact in $Built) { if ($fact.issuer -cmatch $ExpectedPattern) { $fact } })
        if ($matching.Count -eq 0) { [void]$found.Add('intercepted') }
    }
    , [string[]]@(foreach ($word in $script:FailureOrder) { if ($found.Contains($word)) { $word } })
}

function Get-ClientHello {
    <#
    .SYNOPSIS
    A ClientHello that offers TLS 1.0 to 1.2 with all usual cipher suites: its answer tells what a server is able to do.
    #>
    param ([Parameter(Mandatory = $true)][string]$HostName)

    $name = [System.Text.Encoding]::ASCII.GetBytes($HostName)
    $n = $name.Length
    $random = [byte[]]::new(32)
    $generator = [System.Security.Cryptography.RandomNumberGenerator]::Create()
    $generator.GetBytes($random)
    $generator.Dispose()
    $numbers = @(0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC023, 0xC027, 0xC009, 0xC013, 0xC00A, 0xC014, 0x009E, 0x009F, 0x0033,
        0x0039, 0x009C, 0x009D, 0x003C, 0x003D, 0x002F, 0x0035, 0x000A, 0x0005, 0x00FF)
    $suites = @(foreach ($number in $numbers) { $number -shr 8; $number -band 0xFF })
    $serverName = @(0, 0, 0, ($n + 5), 0, ($n + 3), 0, 0, $n) + $name
    $groups = @(0, 10, 0, 10, 0, 8, 0, 29, 0, 23, 0, 24, 0, 25)
    $pointFormats = @(0, 11, 0, 2, 1, 0)
    $signatures = @(0, 13, 0, 24, 0, 22, 4, 3, 5, 3, 6, 3, 8, 4, 8, 5, 8, 6, 4, 1, 5, 1, 6, 1, 2, 3, 2, 1)
    # A literal address is no server name (RFC 6066).
    $extensions = @(if ($n -le 250 -and [Uri]::CheckHostName($HostName) -eq 'Dns') { $serverName }) + $groups + $pointFormats + $signatures
    $length = @(($extensions.Count -shr 8), ($extensions.Count -band 0xFF))
    $body = @(3, 3) + $random + @(0, 0, $suites.Count) + $suites + @(1, 0) + $length + $extensions
    $message = @(1, 0, ($body.Count -shr 8), ($body.Count -band 0xFF)) + $body
    , [byte[]](@(22, 3, 1, ($message.Count -shr 8), ($message.Count -band 0xFF)) + $message)
}

function Read-ServerHello {
    <#
    .SYNOPSIS
    What a server answered to the ClientHello: protocol and cipher_suite, or alert; tls is false if it is no TLS.
    #>
    param ([Parameter(Mandatory = $true)][AllowEmptyCollection()][byte[]]$Bytes)

    $hello = [ordered]@{ tls = $false; protocol = $null; cipher_suite = $null; alert = $null }
    $length = $Bytes.Length
    if ($length -lt 7 -or $Bytes[1] -ne 3) { return $hello }
    if ($Bytes[0] -eq 21) {
        $hello.tls = $true
        $hello.alert = [int]$Bytes[6]
    } elseif ($Bytes[0] -eq 22 -and $length -ge 44 -and $Bytes[5] -eq 2) {
        $suite = 44 + $Bytes[43]
        $hello.tls = $true
        $hello.protocol = @('SSL 3.0', 'TLS 1.0', 'TLS 1.1', 'TLS 1.2')[[Math]::Min([int]$Bytes[10], 3)]
        if ($length -ge $suite + 2) { $hello.cipher_suite = '0x{0:x2}{1:x2}' -f $Bytes[$suite], $Bytes[$suite + 1] }
    }
    $hello
}

function Test-NoCommonProtocol {
    <#
    .SYNOPSIS
    Whether a failed handshake failed because client and server have no protocol version or cipher suite in common.
    #>
    param ([AllowNull()][Exception]$Exception, [AllowNull()]$Hello)

    # SEC_E_ALGORITHM_MISMATCH: Schannel itself says so.
    if ($Exception -is [System.ComponentModel.Win32Exception] -and $Exception.NativeErrorCode -eq 0x80090331) { return $true }
    if ($null -eq $Hello) { return $false }
    # RFC 5246, 7.2.2: handshake_failure, protocol_version, insufficient_security.
    if ($Hello.alert -in @(40, 70, 71)) { return $true }
    # All that this host's own handshake may have left out by today's standards.
    $Hello.protocol -in @('SSL 3.0', 'TLS 1.0', 'TLS 1.1')
}

Export-ModuleMember -Function Get-ChainStatus, Get-ClientHello, Get-TlsFailure, Get-TlsRecord, New-ServerChain, New-TlsStream,
    Read-ServerHello, Start-ChainBuild, Start-PoolCall, Start-TlsHandshake, Test-NoCommonProtocol
