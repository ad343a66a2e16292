# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -PowerShell ._Probe
#AnsibleRequires -PowerShell ._Tls

# The part of a probe that is TLS: the handshake, the judgement of the chain, and why a handshake failed.

# Who the AIK service's TLS certificates are issued by. A name proves nothing, but inspection devices use their own.
$script:AikIssuer = '(\A|, )O=Microsoft Corporation(,|\z)'

function Start-ProbeHandshake {
    param ([hashtable]$Probe)

    Enter-ProbeStep -Probe $Probe -Name 'tls'
    $Probe.Stream = New-TlsStream -Stream $Probe.Stream
    $Probe.Handshake = Start-TlsHandshake -Stream $Probe.Stream -HostName $Probe.Uri.IdnHost
    # Some time is kept for the second hello, which there is not behind a proxy.
    $left = ($Probe.Deadline - (Get-ProbeTime)) / 1000.0
    $seconds = if ($Probe.Proxy) { $left } else { [Math]::Max($left / 2, $left - $Probe.Setting.ConnectTimeout) }
    Wait-ProbeTask -Probe $Probe -State 'handshake' -Task $Probe.Handshake -Seconds $seconds
}

function Stop-ProbeHandshake {
    # The handshake takes long: the server is mute, or it answers and Windows looks for the issuer of its certificate.
    param ([hashtable]$Probe)

    $Probe.HandshakeError = [System.TimeoutException]::new()
    if ($Probe.Patient) { return Step-ProbeHandshake -Probe $Probe -Exception $Probe.HandshakeError }
    if ($Probe.Proxy) { return Resume-ProbeHandshake -Probe $Probe }
    $Probe.Aside = @{ Client = $Probe.Client; Stream = $Probe.Stream }
    Start-ProbeHello -Probe $Probe
}

function Resume-ProbeHandshake {
    # Waits once more, and longer than Windows takes to give up.
    param ([hashtable]$Probe)

    if ($Probe.Aside) {
        $Probe.Client.Close()
        $Probe.Client = $Probe.Aside.Client
        $Probe.Stream = $Probe.Aside.Stream
        $Probe.Aside = $null
    }
    $Probe.Patient = $true
    $Probe.Deadline = [Math]::Max($Probe.Deadline, (Get-ProbeTime)) + [long]($Probe.Setting.ChainTimeout * 1000)
    Wait-ProbeTask -Probe $Probe -State 'handshake' -Task $Probe.Handshake
}

function Test-ClientCertificateWanted {
    <#
    .SYNOPSIS
    Whether the server has asked for a client's certificate so far; TLS 1.3 and IIS also ask after the handshake.
    #>
    param ([hashtable]$Probe)

    $null -ne $Probe.Record -and (Get-TlsRecord -Stream $Probe.Stream).ClientCertificateWanted
}

function New-ProbeTlsFact {
    # What is returned of TLS, as far as it is known before the chain is judged.
    param ([hashtable]$Probe, [hashtable]$Record)

    [ordered]@{
        protocol = $null; presented = Get-ProbeFact -Probe $Probe -Certificate $Record.Presented
        built = [object[]]@(); status = [object[]]@(); policy_errors = [object[]]$Record.PolicyErrors; failures = [object[]]@()
        missing_issuer = $null; client_certificate_requested = $Record.ClientCertificateWanted; negotiation = $Probe.Hello
    }
}

function Step-ProbeHandshake {
    # The handshake is over, well or not. Returns true if a request may follow.
    param ([hashtable]$Probe, [AllowNull()][Exception]$Exception)

    $record = Get-TlsRecord -Stream $Probe.Stream
    # The second connection; another certificate, as behind a load balancer, is judged again.
    if ($Probe.Record -and -not $Exception -and $record.Leaf.Thumbprint -eq $Probe.Record.Leaf.Thumbprint) { return $true }
    $Probe.Record = $record
    $Probe.Result.tls = New-ProbeTlsFact -Probe $Probe -Record $record
    if (-not $Exception) {
        $Probe.Result.tls.protocol = [string]$Probe.Stream.SslProtocol
        # Windows has looked for the issuer in vain, for as long as it does. It would again, and without one it looks up no
        # revocation. What no account trusts the machine does not trust either.
        $names = @(foreach ($status in Get-ChainStatus -Chain $record.Chain) { $status.Name })
        if ($names -contains 'UntrustedRoot' -or $names -contains 'PartialChain') {
            $Probe.Chain = $record.Chain
            return Step-ProbeChain -Probe $Probe
        }
        # Half of what is left, so that a list that can't be had leaves time to hear what else is wrong.
        $seconds = [Math]::Max(1, [Math]::Min($Probe.Setting.ConnectTimeout, ($Probe.Deadline - (Get-ProbeTime)) / 2000.0))
        $parameters = @{
            Presented = $record.Presented
            CheckRevocation = $Probe.Setting.CheckRevocation
            RetrievalTimeout = [TimeSpan]::FromSeconds($seconds)
        }
        $Probe.Chain = New-ServerChain @parameters
        return Wait-ProbeTask -Probe $Probe -State 'chain' -Task (Start-ChainBuild -Chain $Probe.Chain -Leaf $record.Leaf)
    }
    if ($record.ClientCertificateWanted) {
        return Complete-Probe -Probe $Probe -Failure client_certificate_wanted -Step tls -Exception $Exception
    }
    $Probe.HandshakeError = $Exception
    $Probe.Client.Close()
    if ($Probe.Proxy -or $Probe.Hello) { return Step-ProbeHello -Probe $Probe -Hello $Probe.Hello }
    Start-ProbeHello -Probe $Probe
}

function Start-ProbeHello {
    # A second, hand-made hello tells why a handshake fails, with the server's own numbers.
    param ([hashtable]$Probe)

    $address = $Probe.Addresses[$Probe.AddressIndex]
    $Probe.Client = [System.Net.Sockets.TcpClient]::new($address.AddressFamily)
    $task = $Probe.Client.ConnectAsync($address, $Probe.Uri.Port)
    Wait-ProbeTask -Probe $Probe -State 'hello_connect' -Task $task -Seconds $Probe.Setting.ConnectTimeout
}

function Step-ProbeHelloTask {
    # Connects, writes and reads for the second hello.
    param ([hashtable]$Probe, [System.Threading.Tasks.Task]$Task, [AllowNull()][Exception]$Exception)

    if ($Exception) { return Step-ProbeHello -Probe $Probe -Hello $null }
    $seconds = $Probe.Setting.ConnectTimeout
    switch ($Probe.State) {
        'hello_connect' {
            $Probe.Stream = $Probe.Client.GetStream()
            $hello = Get-ClientHello -HostName $Probe.Uri.IdnHost
            Wait-ProbeTask -Probe $Probe -State 'hello_write' -Task $Probe.Stream.WriteAsync($hello, 0, $hello.Length) -Seconds $seconds
        }
        'hello_write' {
            $Probe.Buffer = [byte[]]::new(512)
            Wait-ProbeTask -Probe $Probe -State 'hello_read' -Task $Probe.Stream.ReadAsync($Probe.Buffer, 0, 512) -Seconds $seconds
        }
        'hello_read' {
            $hello = if ($Task.Result -gt 0) { Read-ServerHello -Bytes ([byte[]]$Probe.Buffer[0..($Task.Result - 1)]) }
            Step-ProbeHello -Probe $Probe -Hello $hello
        }
    }
}

function Step-ProbeHello {
    # What the server says to the hand-made hello; null if it says nothing.
    param ([hashtable]$Probe, [AllowNull()]$Hello)

    $exception = $Probe.HandshakeError
    $cause = $exception.GetBaseException()
    $Probe.Hello = $Hello
    if ($cause -is [System.TimeoutException]) {
        $answers = $Probe.Handshake.IsCompleted -or ($Hello -and $Hello.tls)
        if ($answers -and -not $Probe.Patient) { return Resume-ProbeHandshake -Probe $Probe }
        if ($Probe.Aside) { $Probe.Result.tls = New-ProbeTlsFact -Probe $Probe -Record (Get-TlsRecord -Stream $Probe.Aside.Stream) }
        return Complete-Probe -Probe $Probe -Failure timeout -Step tls
    }
    $Probe.Result.tls.negotiation = $Hello
    $broken = $cause -is [System.Net.Sockets.SocketException] -or $cause -is [System.IO.IOException]
    $failure = if (Test-NoCommonProtocol -Exception $cause -Hello $Hello) { 'no_common_protocol' }
    elseif ($null -eq $Hello -and $broken) { Get-NetworkFailure -Exception $cause }
    else { 'tls_failed' }
    Complete-Probe -Probe $Probe -Failure $failure -Step tls -Exception $exception
}

function Step-ProbeChain {
    # The chain is built. Returns true if a request may follow.
    param ([hashtable]$Probe)

    $tls = $Probe.Result.tls
    $tls.built = Get-ProbeFact -Probe $Probe -Certificate @(foreach ($element in $Probe.Chain.ChainElements) { $element.Certificate })
    $status = @(Get-ChainStatus -Chain $Probe.Chain)
    $names = [ordered]@{}
    foreach ($one in $status) { $names[$one.Name] = $true }
    $tls.status = [object[]]@($names.Keys)
    if ($tls.status -contains 'PartialChain') {
        $last = $tls.built[-1]
        $tls.missing_issuer = [ordered]@{ subject = $last.issuer; key_identifier = $last.authority_key_identifier }
    }
    $expected = @{ Expected = @($Probe.Setting.ExpectedIssuer); ExpectedPattern = '' }
    if ($Probe.Result.kind -eq 'aik') { $expected = @{ Expected = @(); ExpectedPattern = $script:AikIssuer } }
    $failures = Get-TlsFailure -Status $status -Built $tls.built -PolicyErrors $Probe.Record.PolicyErrors @expected
    $tls.failures = [object[]]$failures
    if ($failures.Count -gt 0) { return Complete-Probe -Probe $Probe -Failure $failures[0] -Step tls }
    Exit-ProbeStep -Probe $Probe -Ok $true
    $true
}

Export-ModuleMember -Function Start-ProbeHandshake, Step-ProbeChain, Step-ProbeHandshake, Step-ProbeHello, Step-ProbeHelloTask,
    Stop-ProbeHandshake, Test-ClientCertificateWanted
