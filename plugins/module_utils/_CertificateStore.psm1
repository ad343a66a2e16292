# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -PowerShell ._Certificate

# The certificate stores of LocalMachine, and the chains that Windows builds from them.

# Where else the certificates of a store come from (Microsoft, "System Store Locations"): reading a store merges these
# with the machine's own, which alone can be written.
$script:OtherSources = [ordered]@{
    group_policy = 'SOFTWARE\Policies\Microsoft\SystemCertificates\{0}\Certificates'
    enterprise = 'SOFTWARE\Microsoft\EnterpriseCertificates\{0}\Certificates'
    third_party = 'SOFTWARE\Microsoft\SystemCertificates\AuthRoot\Certificates'
}

Function Open-MachineStore {
    [OutputType([System.Security.Cryptography.X509Certificates.X509Store])]
    param ([string]$Name, [switch]$Write, [switch]$Archived)

    # Without OpenExistingOnly, opening a store that is not there makes it; Windows' own are always there.
    $flags = [System.Security.Cryptography.X509Certificates.OpenFlags]::ReadOnly
    if ($Name -notin @('My', 'Root', 'CA', 'Disallowed')) {
        $flags = [System.Security.Cryptography.X509Certificates.OpenFlags]::OpenExistingOnly
    }
    if ($Write) { $flags = [System.Security.Cryptography.X509Certificates.OpenFlags]::ReadWrite }
    if ($Archived) { $flags = $flags -bor [System.Security.Cryptography.X509Certificates.OpenFlags]::IncludeArchived }
    $location = [System.Security.Cryptography.X509Certificates.StoreLocation]::LocalMachine
    $store = New-Object -TypeName System.Security.Cryptography.X509Certificates.X509Store -ArgumentList $Name, $location
    try {
        $store.Open($flags)
    }
    catch {
        $cause = $_.Exception.GetBaseException()
        $what, $hint = 'reading', ''
        if ($Write) { $what, $hint = 'writing', ' An account with administrator rights is needed.' }
        throw ("The certificate store LocalMachine\{0} cannot be opened for {1} ({2}, 0x{3:x8}: {4}).{5}" -f
            $Name, $what, $cause.GetType().Name, $cause.HResult, $cause.Message, $hint)
    }
    $store
}

Function Get-ScepStoreCertificate {
    <#
    .SYNOPSIS
    The certificate with that thumbprint in a store of LocalMachine; nothing if it is not there.
    .PARAMETER Archived
    Also one that Windows keeps as archived, after a renewal, which is not shown otherwise and makes no chain.
    #>
    [CmdletBinding()]
    [OutputType([System.Security.Cryptography.X509Certificates.X509Certificate2])]
    param (
        [Parameter(Mandatory = $true)][string]$Store,
        [Parameter(Mandatory = $true)][string]$Thumbprint,
        [switch]$Archived
    )

    $opened = Open-MachineStore -Name $Store -Archived:$Archived
    try {
        $kind = [System.Security.Cryptography.X509Certificates.X509FindType]::FindByThumbprint
        foreach ($certificate in $opened.Certificates.Find($kind, $Thumbprint, $false)) { return $certificate }
    }
    finally {
        $opened.Close()
    }
}

Function Test-ScepStoreCertificate {
    <#
    .SYNOPSIS
    Whether a store of LocalMachine has this very certificate, from whatever source.
    #>
    [CmdletBinding()]
    [OutputType([bool])]
    param (
        [Parameter(Mandatory = $true)][string]$Store,
        [Parameter(Mandatory = $true)][System.Security.Cryptography.X509Certificates.X509Certificate2]$Certificate
    )

    $found = Get-ScepStoreCertificate -Store $Store -Thumbprint $Certificate.Thumbprint
    # A thumbprint is SHA-1, for which two certificates with the same one can be made.
    $null -ne $found -and (Get-ScepCertificateSha256 -Certificate $found) -ceq (Get-ScepCertificateSha256 -Certificate $Certificate)
}

Function Set-ScepStoreCertificate {
    <#
    .SYNOPSIS
    Puts a certificate into a store of LocalMachine, or takes it out, and looks whether that is so then.
    #>
    [CmdletBinding()]
    param (
        [Parameter(Mandatory = $true)][string]$Store,
        [Parameter(Mandatory = $true)][System.Security.Cryptography.X509Certificates.X509Certificate2]$Certificate,
        [Parameter(Mandatory = $true)][bool]$Present
    )

    $opened = Open-MachineStore -Name $Store -Write
    try {
        if ($Present) { $opened.Add($Certificate) }
        else { $opened.Remove($Certificate) }
    }
    finally {
        $opened.Close()
    }
    if ((Test-ScepStoreCertificate -Store $Store -Certificate $Certificate) -ne $Present) {
        $is = $(if ($Present) { 'not there after it was added' } else { 'still there after it was removed' })
        throw "LocalMachine\${Store}: the certificate is $is."
    }
}

Function Assert-ScepStoreWritable {
    <#
    .SYNOPSIS
    Opens a store of LocalMachine for writing and closes it again, so that a missing right is known before any change.
    #>
    [CmdletBinding()]
    param ([Parameter(Mandatory = $true)][string]$Store)

    (Open-MachineStore -Name $Store -Write).Close()
}

Function Get-ScepStoreSource {
    <#
    .SYNOPSIS
    The sources, other than the machine's own store, that a certificate comes from: group_policy, enterprise (Active
    Directory), third_party (Windows' own programme, Root only). Removing it here would not take it away.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param (
        [Parameter(Mandatory = $true)][ValidateSet('Root', 'CA', 'Disallowed')][string]$Store,
        [Parameter(Mandatory = $true)][string]$Thumbprint
    )

    $machine = [Microsoft.Win32.RegistryKey]::OpenBaseKey(
        [Microsoft.Win32.RegistryHive]::LocalMachine, [Microsoft.Win32.RegistryView]::Registry64)
    try {
        foreach ($source in $script:OtherSources.Keys) {
            if ($source -eq 'third_party' -and $Store -ne 'Root') { continue }
            $key = $machine.OpenSubKey("$($script:OtherSources[$source] -f $Store)\$Thumbprint")
            if ($null -ne $key) {
                $key.Close()
                $source
            }
        }
    }
    finally {
        $machine.Close()
    }
}

Function Get-ScepChain {
    <#
    .SYNOPSIS
    The chain that the machine builds for a certificate: Elements (certificates, this one first) and Status (the names
    of X509ChainStatusFlags, sorted).
    .DESCRIPTION
    Without revocation. A missing issuer is not fetched where .NET can say so (5 and newer); Windows PowerShell cannot,
    so there the time for it is kept short.
    .PARAMETER Extra
    Certificates to build with, beside those of the stores.
    #>
    [CmdletBinding()]
    param (
        [Parameter(Mandatory = $true)][System.Security.Cryptography.X509Certificates.X509Certificate2]$Certificate,
        [AllowEmptyCollection()][System.Security.Cryptography.X509Certificates.X509Certificate2[]]$Extra = @()
    )

    # True: with the machine's stores, not those of the account that WinRM logged on.
    $chain = New-Object -TypeName System.Security.Cryptography.X509Certificates.X509Chain -ArgumentList $true
    try {
        $policy = $chain.ChainPolicy
        $policy.RevocationMode = [System.Security.Cryptography.X509Certificates.X509RevocationMode]::NoCheck
        $policy.UrlRetrievalTimeout = [TimeSpan]::FromSeconds(2)
        if ($null -ne $policy.PSObject.Properties['DisableCertificateDownloads']) {
            $policy.DisableCertificateDownloads = $true
        }
        foreach ($one in $Extra) { $null = $policy.ExtraStore.Add($one) }
        $null = $chain.Build($Certificate)
        $names = foreach ($status in $chain.ChainStatus) { "$($status.Status)" -split ', ' }
        [PSCustomObject]@{
            Elements = @(foreach ($element in $chain.ChainElements) { $element.Certificate })
            Status = @($names | Where-Object -FilterScript { $_ -ne 'NoError' } | Sort-Object -Unique)
        }
    }
    finally {
        $chain.Reset()
    }
}

$export = @{
    Function = @(
        'Assert-ScepStoreWritable', 'Get-ScepChain', 'Get-ScepStoreCertificate', 'Get-ScepStoreSource',
        'Set-ScepStoreCertificate', 'Test-ScepStoreCertificate'
    )
}
Export-ModuleMember @export
