# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -PowerShell ._AikTask
#AnsibleRequires -PowerShell ._Certificate
#AnsibleRequires -PowerShell ._EnrolmentEvent
#AnsibleRequires -PowerShell ._EventLog

# The TPM, its endorsement key certificates, and what Windows keeps of the AIK's enrolment. All of it is read; what can't be
# read is null, and a sentence in the list Note says why.

$script:AikDomain = 'microsoftaik.azure.net'
$script:AikSite = [regex]::new('\Ahttps://[^/]+\.microsoftaik\.azure\.net[:/]', 'IgnoreCase, CultureInvariant')
$script:TpmKey = 'SYSTEM\CurrentControlSet\Services\TPM\WMI'
$script:AikEnrolKey = 'SYSTEM\CurrentControlSet\Control\Cryptography\Ngc\AIKCertEnroll'
$script:CertificateProperty = 32  # CERT_CERT_PROP_ID: the certificate itself among its properties

Function Open-AikKey {
    <#
    .SYNOPSIS
    A key of the machine, or nothing.
    #>
    param ([string]$Path, [System.Collections.Generic.List[string]]$Note)

    $machine = [Microsoft.Win32.RegistryKey]::OpenBaseKey(
        [Microsoft.Win32.RegistryHive]::LocalMachine, [Microsoft.Win32.RegistryView]::Registry64)
    try {
        $machine.OpenSubKey($Path)
    }
    catch [System.UnauthorizedAccessException], [System.Security.SecurityException], [System.IO.IOException] {
        $Note.Add("HKLM\$Path can't be read ($($_.Exception.GetType().Name)): an account with administrator rights is needed.")
    }
    finally {
        $machine.Close()
    }
}

Function ConvertTo-AikValue {
    <#
    .SYNOPSIS
    A value of the registry as data: binary ones as hex digits, numbers without sign.
    #>
    param ([AllowNull()]$Value)

    if ($Value -is [byte[]]) { return [BitConverter]::ToString($Value).Replace('-', '').ToLowerInvariant() }
    if ($Value -is [int]) { return [int64][BitConverter]::ToUInt32([BitConverter]::GetBytes($Value), 0) }
    if ($Value -is [array]) { return , [object[]]$Value }
    $Value
}

Function Get-ScepTpm {
    <#
    .SYNOPSIS
    Whether there is a TPM, whose, and of which version.
    #>
    param ([System.Collections.Generic.List[string]]$Note)

    $fact = [ordered]@{ present = $null; manufacturer = $null; manufacturer_version = $null; spec_version = $null }
    $query = @{
        Namespace = 'root/cimv2/Security/MicrosoftTpm'
        ClassName = 'Win32_Tpm'
        Property = @('ManufacturerIdTxt', 'ManufacturerVersion', 'SpecVersion')
    }
    try {
        $tpm = @(Get-CimInstance @query -ErrorAction Stop)
    }
    catch {
        $code = [regex]::Match($_.FullyQualifiedErrorId, '0x[0-9A-Fa-f]{8}').Value.ToLowerInvariant()
        if (-not $code) { $code = '0x{0:x8}' -f $_.Exception.GetBaseException().HResult }
        $need = 'WMI on this host does not answer for it'
        if ($code -in @('0x80041003', '0x80070005')) { $need = 'an account with administrator rights is needed' }
        $Note.Add("The TPM can't be read (Win32_Tpm, error $code): $need.")
        return $fact
    }
    $fact.present = $tpm.Count -gt 0
    if ($fact.present) {
        # The id is four characters, filled up with zeros or blanks.
        $fact.manufacturer = ([string]$tpm[0].ManufacturerIdTxt).Trim([char]0, ' ')
        $fact.manufacturer_version = $tpm[0].ManufacturerVersion
        $fact.spec_version = $tpm[0].SpecVersion
    }
    $fact
}

Function Get-TpmVendor {
    <#
    .SYNOPSIS
    The TPM's vendor as an endorsement key certificate names it: tpmManufacturer (2.23.133.2.1) in its subject alternative
    name, "id:" and the hex digits of up to four letters; nothing if it does not.
    #>
    param ([System.Security.Cryptography.X509Certificates.X509Certificate2]$Certificate)

    foreach ($extension in $Certificate.Extensions) {
        if ($extension.Oid.Value -ne '2.5.29.17') { continue }
        $text = [System.Text.Encoding]::GetEncoding('iso-8859-1').GetString($extension.RawData)
        $found = [regex]::Match($text, '\x06\x05\x67\x81\x05\x02\x01[\x0c\x13\x16]\x0bid:([0-9A-Fa-f]{8})')
        if (-not $found.Success) { continue }
        $letters = for ($i = 0; $i -lt 8; $i += 2) { [char][Convert]::ToByte($found.Groups[1].Value.Substring($i, 2), 16) }
        return (-join $letters).Trim([char]0, ' ')
    }
}

Function Read-StoredCertificate {
    <#
    .SYNOPSIS
    The certificate in a registry store's Blob: properties, each with id, a reserved number, length, and data.
    #>
    param ([byte[]]$Blob)

    $offset = 0
    while ($offset + 12 -le $Blob.Length) {
        $id = [BitConverter]::ToUInt32($Blob, $offset)
        $length = [BitConverter]::ToUInt32($Blob, $offset + 8)
        $offset += 12
        if ($length -gt $Blob.Length - $offset) { return }
        if ($id -eq $script:CertificateProperty) {
            $der = New-Object -TypeName byte[] -ArgumentList $length
            [Array]::Copy($Blob, $offset, $der, 0, $length)
            return New-Object -TypeName System.Security.Cryptography.X509Certificates.X509Certificate2 -ArgumentList @(, $der)
        }
        $offset += $length
    }
}

Function Get-StoredCertificate {
    <#
    .SYNOPSIS
    The certificates in a registry store of endorsement keys.
    #>
    param ([string]$Store, [System.Collections.Generic.List[string]]$Note)

    $path = "$($script:TpmKey)\Endorsement\$Store\Certificates"
    $key = Open-AikKey -Path $path -Note $Note
    if ($null -eq $key) { return }
    try {
        foreach ($name in $key.GetSubKeyNames()) {
            $certificate = $null
            try {
                $entry = $key.OpenSubKey($name)
                try { $blob = $entry.GetValue('Blob') }
                finally { $entry.Close() }
                if ($blob -is [byte[]]) { $certificate = Read-StoredCertificate -Blob $blob }
            }
            catch {
                $certificate = $null
            }
            if ($null -ne $certificate) { $certificate }
            else { $Note.Add("HKLM\$path\$(ConvertTo-ScepPrintable -Text $name) does not hold a certificate that can be read.") }
        }
    }
    finally {
        $key.Close()
    }
}

Function Get-ScepEndorsementKey {
    <#
    .SYNOPSIS
    Whether there is an endorsement key, and its certificates, each once, the manufacturer's first.
    .PARAMETER Tpm
    What Get-ScepTpm said.
    #>
    param (
        [Parameter(Mandatory = $true)][System.Collections.IDictionary]$Tpm,
        [System.Collections.Generic.List[string]]$Note
    )

    $present = $null
    $sources = [ordered]@{}
    if ($Tpm['present'] -ne $false) {
        try {
            $info = Get-TpmEndorsementKeyInfo -ErrorAction Stop
            $present = [bool]$info.IsPresent
            $sources['manufacturer'] = @($info.ManufacturerCertificates)
            $sources['additional'] = @($info.AdditionalCertificates)
        }
        catch {
            $code = '0x{0:x8}' -f $_.Exception.GetBaseException().HResult
            $Note.Add("The TPM's endorsement key can't be read (Get-TpmEndorsementKeyInfo, error $code): an account with " +
                'administrator rights is needed, and a TPM that is ready.')
        }
    }
    $sources['registry'] = @(
        foreach ($store in 'EKCertStore', 'EKCertStoreECC') { Get-StoredCertificate -Store $store -Note $Note }
    )

    $seen = @{}
    $certificates = foreach ($source in $sources.Keys) {
        foreach ($certificate in $sources[$source]) {
            if ($certificate -isnot [System.Security.Cryptography.X509Certificates.X509Certificate2]) { continue }
            $fact = Get-ScepCertificateFact -Certificate $certificate
            if ($seen.ContainsKey($fact.sha256)) { continue }
            $seen[$fact.sha256] = $true
            $vendor = Get-TpmVendor -Certificate $certificate
            if (-not $vendor) { $vendor = $Tpm['manufacturer'] }
            $hostName = $null
            # Both become a part of a name to be looked up.
            if ($vendor -cmatch '\A[A-Za-z0-9]{1,8}\z' -and $fact.authority_key_identifier -cmatch '\A[0-9a-f]{40}\z') {
                $hostName = '{0}-KeyId-{1}.{2}' -f $vendor.ToUpperInvariant(), $fact.authority_key_identifier, $script:AikDomain
            }
            $fact['source'] = $source
            $fact['tpm_vendor'] = $(if ($vendor) { $vendor } else { $null })
            $fact['aik_host_name'] = $hostName
            $fact
        }
    }
    [ordered]@{ present = $present; certificates = [object[]]@($certificates) }
}

Function Get-ScepAikHostName {
    <#
    .SYNOPSIS
    The host names that endorsement key certificates lead to, each once.
    #>
    param ([Parameter(Mandatory = $true)][System.Collections.IDictionary]$EndorsementKey)

    @(foreach ($certificate in $EndorsementKey['certificates']) { $certificate['aik_host_name'] }) |
        Where-Object -FilterScript { $_ } | Select-Object -Unique
}

Function Get-ScepAikState {
    <#
    .SYNOPSIS
    What Windows keeps of the AIK and its enrolment.
    #>
    param ([System.Collections.Generic.List[string]]$Note)

    $fact = [ordered]@{ error_code = $null; windows_aik_hash = $null; task_states = [ordered]@{} }
    $key = Open-AikKey -Path $script:AikEnrolKey -Note $Note
    if ($null -ne $key) {
        $code = $key.GetValue('ErrorCode')
        $key.Close()
        if ($code -is [int]) { $fact.error_code = '0x{0:x8}' -f $code }
        elseif ($null -ne $code) { $Note.Add("HKLM\$($script:AikEnrolKey) ErrorCode is not a DWORD, so it says nothing.") }
    }
    $key = Open-AikKey -Path $script:TpmKey -Note $Note
    if ($null -ne $key) {
        $hash = $key.GetValue('WindowsAIKHash')
        $key.Close()
        if ($hash -is [byte[]] -and $hash.Length -gt 0) { $fact.windows_aik_hash = ConvertTo-AikValue -Value $hash }
    }
    $key = Open-AikKey -Path "$($script:TpmKey)\TaskStates" -Note $Note
    if ($null -ne $key) {
        foreach ($name in @($key.GetValueNames() | Sort-Object)) {
            $fact.task_states[$name] = ConvertTo-AikValue -Value ($key.GetValue($name))
        }
        $key.Close()
    }
    $fact
}

Function Get-AikSuccessTime {
    <#
    .SYNOPSIS
    When the newest success (event 88) with the AIK service was, as far as this host's log reaches; nothing if there is none.
    #>
    param ([System.Collections.Generic.List[string]]$Note)

    $query = Get-EnrolmentQuery -EventId 88
    $read = @{ Name = 'Application'; PathType = 'LogName'; Query = $query; MaxEvents = 1000; Group = $true }
    try {
        $events = @((Read-EnrolmentEvent @read).events)
    }
    catch {
        $Note.Add((Format-EventLogError -Option 'log' -Name 'Application' -Exception $_.Exception.GetBaseException()))
        return
    }
    $times = foreach ($item in $events) {
        $texts = @($item.data.Url) + @($item.values)
        if (@($texts | Where-Object -FilterScript { $script:AikSite.IsMatch([string]$_) }).Count -gt 0) {
            $item.time_created
        }
    }
    $times | Sort-Object | Select-Object -Last 1
}

Function Get-ScepAikHistory {
    <#
    .SYNOPSIS
    Whether this host has had an AIK certificate (HadSuccess, null if nothing says), and Reason, a sentence.
    #>
    param (
        [Parameter(Mandatory = $true)][System.Collections.IDictionary]$Tpm,
        [Parameter(Mandatory = $true)][System.Collections.IDictionary]$State,
        [System.Collections.Generic.List[string]]$Note
    )

    $code = $State['error_code']
    $had = $null
    $succeeded = $null
    if ($code -ne '0x00000000' -and $Tpm['present'] -ne $false) { $succeeded = Get-AikSuccessTime -Note $Note }
    if ($code -eq '0x00000000') {
        $had = $true
        $reason = 'The last AIK enrolment succeeded (ErrorCode is 0).'
    }
    elseif ($null -ne $succeeded) {
        $had = $true
        $reason = "An AIK enrolment succeeded at $succeeded (event 88)."
    }
    elseif ($null -ne $State['windows_aik_hash']) {
        $reason = 'There is an AIK (WindowsAIKHash), which does not say whether it ever had a certificate.'
    }
    elseif ($null -ne $code) {
        $had = $false
        $reason = "The last AIK enrolment failed (ErrorCode is $code), and there is no AIK."
    }
    elseif ($Tpm['present'] -eq $false) {
        $had = $false
        $reason = 'There is no TPM.'
    }
    else {
        $reason = 'Nothing on this host says how an AIK enrolment ended (there is no ErrorCode).'
    }
    [PSCustomObject]@{ HadSuccess = $had; Reason = $reason }
}

Function Get-ScepAik {
    <#
    .SYNOPSIS
    Everything about the enrolment of the AIK certificate, as the module aik_info returns it. What can't be read is a note and no
    failure: evidence is taken from whatever there is.
    .PARAMETER HostName
    The AIK service that an event names, to compare. It has passed Test-ScepAikHostName.
    #>
    param ([AllowNull()][AllowEmptyString()][string]$HostName)

    $notes = New-Object -TypeName System.Collections.Generic.List[string]
    $tpm = Get-ScepTpm -Note $notes
    $endorsementKey = Get-ScepEndorsementKey -Tpm $tpm -Note $notes
    $names = @(Get-ScepAikHostName -EndorsementKey $endorsementKey)
    $state = Get-ScepAikState -Note $notes
    $history = Get-ScepAikHistory -Tpm $tpm -State $state -Note $notes
    $task = Get-ScepAikTask
    if ($task.Message) { $notes.Add($task.Message) }

    $matching = $null
    if ($HostName -and $names.Count -gt 0) { $matching = $names -contains $HostName.TrimEnd('.') }

    [ordered]@{
        tpm = $tpm
        endorsement_key = $endorsementKey
        host_name = $(if ($names.Count -gt 0) { $names[0] } else { $null })
        host_names = [object[]]$names
        matches = $matching
        state = $state
        had_success = $history.HadSuccess
        had_success_reason = $history.Reason
        task = $task.Fact
        notes = [object[]]$notes.ToArray()
    }
}

$export = @{
    Function = @(
        'Get-ScepAik', 'Get-ScepAikHistory', 'Get-ScepAikHostName', 'Get-ScepAikState', 'Get-ScepEndorsementKey', 'Get-ScepTpm'
    )
}
Export-ModuleMember @export
