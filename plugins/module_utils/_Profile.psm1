# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -PowerShell ._ScepUrl
#AnsibleRequires -PowerShell ._Setting

# The SCEP profiles of a client: those that MDM wrote, and registry values and files that an operator names.

$script:TextLimit = 8192
# What is read of a profile, by name; nothing else is, and the challenge never.
$script:InstallValues = [ordered]@{
    subject_name = 'SubjectName'
    subject_alternative_names = 'SubjectAlternativeNames'
    template_name = 'TemplateName'
    key_usage = 'KeyUsage'
    key_length = 'KeyLength'
    key_protection = 'KeyProtection'
    hash_algorithm = 'HashAlgorithm'
    eku_mapping = 'EKUMapping'
    retry_count = 'RetryCount'
    retry_delay = 'RetryDelay'
    current_retry_count = 'CurrentRetryCount'
    valid_period = 'ValidPeriod'
    valid_period_units = 'ValidPeriodUnits'
}

Function New-Entry {
    <#
    .SYNOPSIS
    A profile about which nothing is known yet; every source has the same names.
    #>
    param ([string]$Source, [string]$Path, [AllowNull()][string]$Name)

    $entry = [ordered]@{
        source = $Source; scope = $null; sid = $null; id = $null; path = $Path; name = $null; kind = $null
        url = $null; urls = @(); endpoints = @(); ca_thumbprint = $null; ca_thumbprint_text = $null
    }
    if ($PSBoundParameters.ContainsKey('Name')) { $entry.name = $Name }
    foreach ($key in $script:InstallValues.Keys) { $entry[$key] = $null }
    $entry.status = $null
    $entry.error_code = $null
    $entry.certificate_thumbprint = $null
    $entry.encoding = $null
    $entry.bom = $null
    $entry.lines = @()
    $entry.notes = New-Object -TypeName System.Collections.Generic.List[string]
    $entry
}

Function Set-Url {
    <#
    .SYNOPSIS
    Puts the URLs of a profile into it, without what must not leave the host.
    #>
    param ([System.Collections.IDictionary]$Entry, [AllowEmptyCollection()][string[]]$Url)

    $shown = @(
        foreach ($one in $Url) {
            $text = Hide-ScepUrlSecret -Url $one
            if ($text -cne $one) { $Entry.notes.Add('A URL has a user name, a password or a challenge in it, which is not shown.') }
            if ($text.Length -gt $script:TextLimit) {
                $text = $text.Substring(0, $script:TextLimit)
                $Entry.notes.Add("A URL is longer than $script:TextLimit characters and is cut.")
            }
            $text
        }
    )
    $Entry.urls = [object[]]$shown
    if ($shown.Count -gt 0) { $Entry.url = $shown[0] }
    $Entry.endpoints = [object[]]@(
        foreach ($one in $shown) {
            $read = Read-ScepUrl -Url $one
            [ordered]@{ url = $one; kind = $read.Kind; scheme = $read.Scheme; host = $read.Host; port = $read.Port }
        }
    )
}

Function Get-ProfileValue {
    <#
    .SYNOPSIS
    One of a profile's values as text, number or list of texts; null where it is not there. What is neither is noted.
    #>
    param ([Microsoft.Win32.RegistryKey]$Key, [string]$Name, [System.Collections.IDictionary]$Entry)

    $value = $Key.GetValue($Name, $null, [Microsoft.Win32.RegistryValueOptions]::DoNotExpandEnvironmentNames)
    if ($value -is [string]) {
        if ($value.Length -le $script:TextLimit) { return $value }
        $Entry.notes.Add("$Name is longer than $script:TextLimit characters and is cut.")
        return $value.Substring(0, $script:TextLimit)
    }
    # A DWORD is without sign, .NET reads it with one.
    if ($value -is [int]) { return [long][BitConverter]::ToUInt32([BitConverter]::GetBytes($value), 0) }
    if ($value -is [long]) { return $value }
    if ($value -is [string[]]) { return , [object[]]$value }
    if ($value -is [byte[]] -and $value.Length -eq 20) { return [BitConverter]::ToString($value).Replace('-', '') }
    if ($null -ne $value) { $Entry.notes.Add("$Name is of the type $($Key.GetValueKind($Name)), which is not read.") }
    # Without this nothing would come out, and Windows PowerShell writes nothing as {}.
    $null
}

Function Read-Install {
    param ([Microsoft.Win32.RegistryKey]$Key, [System.Collections.IDictionary]$Entry)

    $server = Get-ProfileValue -Key $Key -Name 'ServerURL' -Entry $Entry
    if ($server -is [string]) {
        $Entry.kind = [string]$Key.GetValueKind('ServerURL')
        Set-Url -Entry $Entry -Url @(foreach ($one in @(Split-ScepUrlList -Text $server)) { $one.Text })
    }
    if ($Entry.urls.Count -eq 0) { $Entry.notes.Add('The profile has no URL in the value ServerURL.') }
    $thumbprint = Get-ProfileValue -Key $Key -Name 'CAThumbprint' -Entry $Entry
    if ($null -ne $thumbprint) {
        $Entry.ca_thumbprint_text = [string]$thumbprint
        $Entry.ca_thumbprint = ConvertTo-ScepThumbprint -Text ([string]$thumbprint)
        if ($null -eq $Entry.ca_thumbprint) { $Entry.notes.Add('CAThumbprint is not a SHA-1 thumbprint of 40 hexadecimal digits.') }
    }
    foreach ($pair in $script:InstallValues.GetEnumerator()) {
        $Entry[$pair.Key] = Get-ProfileValue -Key $Key -Name $pair.Value -Entry $Entry
    }
}

Function Read-Status {
    param ([Microsoft.Win32.RegistryKey]$Key, [System.Collections.IDictionary]$Entry)

    $Entry.status = Get-ProfileValue -Key $Key -Name 'Status' -Entry $Entry
    $code = Get-ProfileValue -Key $Key -Name 'ErrorCode' -Entry $Entry
    $number = 0L
    if ($code -is [string] -and -not [long]::TryParse($code, [ref]$number)) { $Entry.error_code = $code }
    elseif ($null -ne $code) {
        if ($code -isnot [string]) { $number = [long]$code }
        $Entry.error_code = '0x{0:x8}' -f ($number -band 0xFFFFFFFFL)
    }
    $thumbprint = Get-ProfileValue -Key $Key -Name 'CertThumbprint' -Entry $Entry
    if ($thumbprint -is [string] -and $thumbprint -ne '') {
        $plain = ConvertTo-ScepThumbprint -Text $thumbprint
        $Entry.certificate_thumbprint = $(if ($null -ne $plain) { $plain } else { $thumbprint })
    }
}

Function Invoke-Reading {
    <#
    .SYNOPSIS
    Runs what reads a key. What may not be read, or goes while it is read, is said and is no failure of the host.
    #>
    param ([string]$What, [System.Collections.Generic.List[string]]$Note, [scriptblock]$Reading)

    try {
        & $Reading
    }
    catch [System.UnauthorizedAccessException], [System.Security.SecurityException] {
        $Note.Add("This account may not read ${What}; an account with administrator rights is needed.")
    }
    catch [System.IO.IOException] {
        $Note.Add("$What can't be read: $($_.Exception.GetBaseException().Message)")
    }
}

Function Get-MdmProfile {
    <#
    .SYNOPSIS
    The profiles below a hive, as MDM writes them.
    #>
    param (
        [Microsoft.Win32.RegistryKey]$Root, [string]$Prefix, [string]$Hive, [string]$Scope, [AllowNull()]$Sid,
        [System.Collections.Generic.List[string]]$Note
    )

    $path = "$($Prefix)SOFTWARE\Microsoft\SCEP\MS DM Server"
    Invoke-Reading -What "$Hive\$path" -Note $Note -Reading {
        $server = $Root.OpenSubKey($path)
        if ($null -eq $server) { return }
        try {
            foreach ($id in $server.GetSubKeyNames()) {
                $entry = New-Entry -Source 'mdm' -Path "$Hive\$path\$id\Install" -Name 'ServerURL'
                $entry.scope = $Scope
                $entry.sid = $Sid
                $entry.id = $id
                Invoke-Reading -What "$Hive\$path\$id" -Note $entry.notes -Reading {
                    $key = $server.OpenSubKey($id)
                    if ($null -ne $key) {
                        try { Read-Status -Key $key -Entry $entry }
                        finally { $key.Close() }
                    }
                }
                Invoke-Reading -What "$Hive\$path\$id\Install" -Note $entry.notes -Reading {
                    $key = $server.OpenSubKey("$id\Install")
                    if ($null -eq $key) { $entry.notes.Add('The profile has no key Install, so it has no URL.') }
                    else {
                        try { Read-Install -Key $key -Entry $entry }
                        finally { $key.Close() }
                    }
                }
                $entry
            }
        }
        finally {
            $server.Close()
        }
    }
}

Function Get-AllMdmProfile {
    param ([System.Collections.Generic.List[string]]$Note)

    $machine = Open-ScepHive -Hive HKLM
    try { Get-MdmProfile -Root $machine -Prefix '' -Hive 'HKLM' -Scope 'device' -Sid $null -Note $Note }
    finally { $machine.Close() }
    $users = Open-ScepHive -Hive HKU
    try {
        foreach ($sid in @($users.GetSubKeyNames() | Where-Object -FilterScript { $_ -match '\AS-1-[0-9-]+\z' })) {
            Get-MdmProfile -Root $users -Prefix "$sid\" -Hive 'HKU' -Scope 'user' -Sid $sid -Note $Note
        }
    }
    finally { $users.Close() }
}

Function Get-RegistryProfile {
    param ([System.Collections.IDictionary]$Value)

    $entry = New-Entry -Source 'registry' -Path $Value.path -Name $Value.name
    try {
        $key = Resolve-ScepRegistryPath -Path $Value.path
    }
    catch {
        $entry.notes.Add($_.Exception.Message)
        return $entry
    }
    $entry.path = $key.Path
    $found = Read-ScepRegistryText -Hive $key.Hive -Key $key.Key -Name $Value.name
    $entry.kind = $found.Kind
    if ($null -ne $found.Problem) {
        $entry.notes.Add($found.Message)
        return $entry
    }
    Set-Url -Entry $entry -Url @(foreach ($one in @(Find-ScepUrl -Text $found.Text)) { $one.Text })
    if ($entry.urls.Count -eq 0) { $entry.notes.Add('The value holds no http or https URL.') }
    $entry
}

Function Get-FileProfile {
    <#
    .SYNOPSIS
    One entry for each SCEP URL of a file, with the lines that it is in.
    #>
    param ([string]$Path)

    $empty = New-Entry -Source 'file' -Path $Path
    try {
        $full = Resolve-ScepFilePath -Path $Path
    }
    catch {
        $empty.notes.Add($_.Exception.Message)
        return $empty
    }
    $source = Find-ScepFile -Path $full
    $notes = @()
    if ($source -cne $full) {
        $notes = @("There is no file ${full}: a change that was cut off left it as $source, which is read; the next change of it puts it back.")
    }
    $file = Read-ScepTextFile -Path $source
    foreach ($note in $notes) { $empty.notes.Add($note) }
    if ($null -ne $file.Problem) {
        $empty.notes.Add($file.Message)
        return $empty
    }
    $lines = [ordered]@{}
    $line = 1
    $at = 0
    foreach ($one in @(Find-ScepUrl -Text $file.Text)) {
        $line += [regex]::Matches($file.Text.Substring($at, $one.Index - $at), '\r\n|\r|\n').Count
        $at = $one.Index
        if (-not (Test-ScepUrl -Url $one.Text)) { continue }
        # Ordered dictionaries of PowerShell do not tell case apart, URLs do.
        $mark = [BitConverter]::ToString([System.Text.Encoding]::ASCII.GetBytes($one.Text))
        if (-not $lines.Contains($mark)) { $lines[$mark] = @{ Url = $one.Text; Lines = New-Object -TypeName System.Collections.Generic.List[int] } }
        $lines[$mark].Lines.Add($line)
    }
    if ($lines.Count -eq 0) {
        $empty.encoding = $file.Encoding
        $empty.bom = $file.Bom -gt 0
        $empty.notes.Add('The file holds no SCEP URL.')
        return $empty
    }
    foreach ($found in $lines.Values) {
        $entry = New-Entry -Source 'file' -Path $Path
        $entry.encoding = $file.Encoding
        $entry.bom = $file.Bom -gt 0
        $entry.lines = [object[]]@($found.Lines)
        foreach ($note in $notes) { $entry.notes.Add($note) }
        Set-Url -Entry $entry -Url @($found.Url)
        $entry
    }
}

Function Get-ScepProfile {
    <#
    .SYNOPSIS
    The profiles as the module profile_info returns them. Never throws for what may not be read or is not there.
    .PARAMETER RegistryValue
    Dictionaries with path and name of further values.
    .PARAMETER File
    Further files.
    .PARAMETER Note
    Takes what of the profiles of MDM could not be read at all, a sentence each.
    #>
    param (
        [AllowEmptyCollection()][object[]]$RegistryValue,
        [AllowEmptyCollection()][string[]]$File,
        [Parameter(Mandatory = $true)][AllowEmptyCollection()][System.Collections.Generic.List[string]]$Note
    )

    Get-AllMdmProfile -Note $Note
    foreach ($value in $RegistryValue) { Get-RegistryProfile -Value $value }
    foreach ($path in $File) { Get-FileProfile -Path $path }
}

Export-ModuleMember -Function Get-ScepProfile
