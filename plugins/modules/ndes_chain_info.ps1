#!powershell

# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic
#AnsibleRequires -PowerShell ..module_utils._Certificate
#AnsibleRequires -PowerShell ..module_utils._CertificateStore

$spec = @{
    options = @{
        address = @{ type = 'str' }
        host_name = @{ type = 'str' }
        port = @{ type = 'int'; default = 443 }
    }
    supports_check_mode = $true
}

$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

$address = $module.Params.address
$hostName = $module.Params.host_name
$port = $module.Params.port

$module.Result.changed = $false
$module.Result.bindings = @()
$module.Result.binding = $null
$module.Result.chain = @()
$module.Result.complete = $false
$module.Result.status = @()
$module.Result.problem = $null
$module.Result.detail = $null
$module.Result.settings = $null

$httpKey = 'SYSTEM\CurrentControlSet\Services\HTTP\Parameters'
$ndesKey = 'SOFTWARE\Microsoft\Cryptography\MSCEP'

Function New-Problem {
    param ([string]$Word, [string]$Detail)

    $module.Result.problem = $Word
    $module.Result.detail = $Detail
    $module.Warn($Detail)
}

Function ConvertTo-AddressText {
    <#
    .SYNOPSIS
    An IP address in its one usual form, without brackets; null if the text is none.
    #>
    param ([AllowNull()][string]$Text)

    $parsed = $null
    if ($Text -and [System.Net.IPAddress]::TryParse($Text.Trim('[', ']'), [ref]$parsed)) { return $parsed.ToString() }
    return $null
}

Function Read-Binding {
    <#
    .SYNOPSIS
    One key of HTTP.sys' certificate bindings; null if it is of another port, or its name is no name and port.
    #>
    param ([Microsoft.Win32.RegistryKey]$Parent, [string]$Name, [string]$Kind)

    $key = $Parent.OpenSubKey($Name)
    if ($null -eq $key) { return $null }
    try {
        # Bindings by name may have a GUID for a key name, and their name in a value.
        $text = $key.GetValue('HostnamePort')
        if ($Kind -ne 'sni' -or $text -isnot [string] -or -not $text) { $text = $Name }
        $parts = [regex]::Match($text, '\A(?:(?<host>.+):)?(?<port>[0-9]{1,5})\z')
        if (-not $parts.Success -or [int]$parts.Groups['port'].Value -ne $port) { return $null }
        $hash = $key.GetValue('SslCertHash')
        $store = $key.GetValue('SslCertStoreName')
        $where = $parts.Groups['host'].Value
        $thumbprint = $null
        $storeName = $null
        if ($Kind -ne 'central_store') {
            if ($hash -is [byte[]] -and $hash.Length -gt 0) { $thumbprint = [BitConverter]::ToString($hash).Replace('-', '') }
            $storeName = $(if ($store -is [string] -and $store) { $store } else { 'MY' })
        }
        [ordered]@{
            kind = $Kind
            name = $text
            host_name = $(if ($Kind -eq 'sni') { $where } else { $null })
            address = $(if ($Kind -eq 'plain') { ConvertTo-AddressText -Text $where } else { $null })
            port = $port
            store = $storeName
            thumbprint = $thumbprint
        }
    }
    finally {
        $key.Close()
    }
}

Function Get-Binding {
    <#
    .SYNOPSIS
    All certificate bindings of the port: by name (SNI), of the central store, and by address.
    #>
    param ([Microsoft.Win32.RegistryKey]$Machine)

    $kinds = [ordered]@{ SslSniBindingInfo = 'sni'; SslCcsBindingInfo = 'central_store'; SslBindingInfo = 'plain' }
    foreach ($table in $kinds.Keys) {
        $parent = $Machine.OpenSubKey("$httpKey\$table")
        if ($null -eq $parent) { continue }
        try {
            foreach ($name in @($parent.GetSubKeyNames())) {
                $binding = Read-Binding -Parent $parent -Name $name -Kind $kinds[$table]
                if ($null -ne $binding) { $binding }
            }
        }
        finally {
            $parent.Close()
        }
    }
}

Function Select-Binding {
    <#
    .SYNOPSIS
    The bindings that a handshake may take, by what is known of it; several where that depends on more.
    .DESCRIPTION
    In HTTP.sys' order: the name, the very address, the central store, any address. Without a name, a client's own
    name for the server is not known, so all count.
    #>
    param ([AllowEmptyCollection()][object[]]$Binding)

    $named = @($Binding | Where-Object -FilterScript { $_.kind -eq 'sni' })
    $plain = @($Binding | Where-Object -FilterScript { $_.kind -eq 'plain' })
    $central = @($Binding | Where-Object -FilterScript { $_.kind -eq 'central_store' })
    $any = @($plain | Where-Object -FilterScript { $_.address -in @('0.0.0.0', '::') })
    $specific = @($plain | Where-Object -FilterScript { $_.address -notin @('0.0.0.0', '::') })
    if ($hostName) {
        $parent = '*' + $hostName.Substring([Math]::Max(0, $hostName.IndexOf('.')))
        foreach ($wanted in $hostName, $parent) {
            $match = @($named | Where-Object -FilterScript { $_.host_name -eq $wanted })
            if ($match.Count -gt 0) { return $match }
        }
        $named = @()
    }
    if ($address) {
        $own = ConvertTo-AddressText -Text $address
        $match = @($specific | Where-Object -FilterScript { $_.address -eq $own })
        if ($match.Count -gt 0) { return @($named) + $match }
        $specific = @()
        $family = $(if ($own.Contains(':')) { '::' } else { '0.0.0.0' })
        $any = @($any | Where-Object -FilterScript { $_.address -eq $family })
    }
    $rest = $(if ($central.Count -gt 0) { $central } else { $any })
    @($named) + @($specific) + @($rest)
}

Function Get-Setting {
    <#
    .SYNOPSIS
    The settings of NDES and HTTP.sys that bear on enrolment, by name: a challenge password lies beside them.
    #>
    param ([Microsoft.Win32.RegistryKey]$Machine)

    $values = @{}
    $named = @(
        @($ndesKey, 'EncryptionTemplate'), @($ndesKey, 'GeneralPurposeTemplate'), @($ndesKey, 'SignatureTemplate'),
        @("$ndesKey\EnforcePassword", 'EnforcePassword'), @("$ndesKey\UseSinglePassword", 'UseSinglePassword'),
        @($httpKey, 'MaxFieldLength'), @($httpKey, 'MaxRequestBytes')
    )
    foreach ($pair in $named) {
        $values[$pair[1]] = $null
        $key = $Machine.OpenSubKey($pair[0])
        if ($null -eq $key) { continue }
        $value = $key.GetValue($pair[1])
        $key.Close()
        if (($pair[1] -like '*Template' -and $value -is [string]) -or ($pair[1] -notlike '*Template' -and $value -is [int])) {
            $values[$pair[1]] = $value
        }
    }
    $modules = @()
    $key = $Machine.OpenSubKey("$ndesKey\Modules")
    if ($null -ne $key) {
        $modules = @($key.GetSubKeyNames() | Sort-Object)
        $key.Close()
    }
    $key = $Machine.OpenSubKey($ndesKey)
    $installed = $null -ne $key
    if ($installed) { $key.Close() }
    $flag = { param ($number) if ($null -eq $number) { $null } else { $number -ne 0 } }
    [ordered]@{
        installed = $installed
        encryption_template = $values.EncryptionTemplate
        general_purpose_template = $values.GeneralPurposeTemplate
        signature_template = $values.SignatureTemplate
        enforce_password = & $flag $values.EnforcePassword
        use_single_password = & $flag $values.UseSinglePassword
        policy_modules = [object[]]@($modules)
        max_field_length = $values.MaxFieldLength
        max_request_bytes = $values.MaxRequestBytes
    }
}

Function Set-ChainResult {
    <#
    .SYNOPSIS
    Puts the chain of a binding's certificate into the result, or what is missing of it.
    #>
    param ([System.Collections.IDictionary]$Binding)

    $module.Result.binding = $Binding
    if ($Binding.kind -eq 'central_store') {
        New-Problem 'central_store' (
            "Port $port takes its certificate from a central certificate store, which is not read: export the chain from " +
            'its certificate, and use it from files.')
        return
    }
    $certificate = $null
    $why = 'it is not there'
    if ($null -eq $Binding.thumbprint) {
        $why = 'the binding names none'
    }
    else {
        try {
            $certificate = Get-ScepStoreCertificate -Store $Binding.store -Thumbprint $Binding.thumbprint
            if ($null -eq $certificate) {
                # HTTP.sys serves it all the same.
                $certificate = Get-ScepStoreCertificate -Store $Binding.store -Thumbprint $Binding.thumbprint -Archived
                if ($null -ne $certificate) {
                    $module.Warn("The certificate $($Binding.thumbprint) of the binding $($Binding.name) is archived, as after a renewal: " +
                        'bind the site to the one that has taken its place.')
                }
            }
        }
        catch {
            $why = $_.Exception.Message
        }
    }
    if ($null -eq $certificate) {
        New-Problem 'certificate_missing' (
            "The certificate $($Binding.thumbprint) of the binding $($Binding.name) was not found in " +
            "LocalMachine\$($Binding.store): $why. Bind the site's certificate again.")
        return
    }
    $chain = Get-ScepChain -Certificate $certificate
    $module.Result.status = $chain.Status
    $module.Result.chain = @(foreach ($element in $chain.Elements) { Get-ScepCertificateFact -Certificate $element })
    $last = $module.Result.chain[$module.Result.chain.Count - 1]
    $module.Result.complete = $last.self_signed -and 'PartialChain' -notin $chain.Status
    if (-not $module.Result.complete) {
        New-Problem 'chain_incomplete' (
            "The chain ends at $(ConvertTo-ScepPrintable -Text $last.subject): the certificate of its issuer " +
            "$(ConvertTo-ScepPrintable -Text $last.issuer) is not in this server's stores. Clients may fail for it too: " +
            'install it on the server.')
    }
}

if ($port -lt 1 -or $port -gt 65535) { $module.FailJson("port: $port is no TCP port; it has to be 1 to 65535.") }
if ($address -and $null -eq (ConvertTo-AddressText -Text $address)) {
    $module.FailJson("address: '$address' is not an IP address; name the one that clients connect to, or leave it out.")
}

$problem = $null
$bindings = @()
try {
    # The 64-bit view, whatever process WinRM started: NDES and HTTP.sys have theirs there.
    $machine = [Microsoft.Win32.RegistryKey]::OpenBaseKey(
        [Microsoft.Win32.RegistryHive]::LocalMachine, [Microsoft.Win32.RegistryView]::Registry64)
    $module.Result.settings = Get-Setting -Machine $machine
    $bindings = @(Get-Binding -Machine $machine)
    $machine.Close()
}
catch [System.UnauthorizedAccessException], [System.Security.SecurityException] {
    $problem = $_
}
if ($null -ne $problem) {
    $module.FailJson(
        "The bindings of HTTP.sys or the settings of NDES cannot be read ($($problem.Exception.Message)): " +
        'an account with administrator rights is needed.', $problem)
}

$module.Result.bindings = $bindings
$possible = @(Select-Binding -Binding $bindings)
$different = @($possible | ForEach-Object -Process { "$($_.kind -eq 'central_store') $($_.store) $($_.thumbprint)" } | Select-Object -Unique)
if ($possible.Count -eq 0) {
    New-Problem 'no_binding' (
        "HTTP.sys has no certificate for port $port" + $(if ($hostName) { " and the name $(ConvertTo-ScepPrintable -Text $hostName)" }) +
        ': is this the NDES server, does it have an HTTPS binding, or is TLS ended by a device in front of it?')
}
elseif ($different.Count -gt 1) {
    New-Problem 'ambiguous' (
        "Port $port has several certificates ($(($possible | ForEach-Object -Process { ConvertTo-ScepPrintable -Text $_.name }) -join ', ')): " +
        'say with host_name, and where that is not enough with address, which one clients get.')
}
else {
    Set-ChainResult -Binding $possible[0]
}

$module.ExitJson()
