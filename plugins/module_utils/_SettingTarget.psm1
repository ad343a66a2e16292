# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -PowerShell ._ScepUrl
#AnsibleRequires -PowerShell ._Setting
#AnsibleRequires -PowerShell ._SettingWrite

# One setting with a SCEP URL in it, be it of MDM, a registry value or a file: read, changed at some places, shown as data.

Function New-ScepSettingTarget {
    <#
    .SYNOPSIS
    Where the setting is: by the options, or as an undo record has it.
    #>
    param ([string]$Type, [string]$Path, [AllowNull()][AllowEmptyString()]$Name)

    $target = [PSCustomObject]@{ Type = $Type; Path = $Path; Name = $Name; Hive = $null; Key = $null }
    if ($Type -ne 'file') {
        $key = Resolve-ScepRegistryPath -Path $Path -Option 'registry_value'
        $target.Path = $key.Path
        $target.Hive = $key.Hive
        $target.Key = $key.Key
    }
    $target
}

Function Read-ScepSetting {
    <#
    .SYNOPSIS
    What a setting holds: Text, Kind, Sha256, Problem and Message, and for files Bytes, Encoding, Bom and Width.
    #>
    param ($Target)

    $hash = $null
    if ($Target.Type -eq 'file') {
        $read = Read-ScepTextFile -Path (Find-ScepFile -Path $Target.Path)
        if ($null -eq $read.Problem) { $hash = Get-ScepSha256 -Bytes $read.Bytes }
        $read | Add-Member -NotePropertyName Kind -NotePropertyValue $null
    }
    else {
        $read = Read-ScepRegistryText -Hive $Target.Hive -Key $Target.Key -Name $Target.Name
        if ($null -eq $read.Problem) { $hash = Get-ScepTextSha256 -Text $read.Text }
        $read | Add-Member -NotePropertyName Encoding -NotePropertyValue $null
    }
    $read | Add-Member -NotePropertyName Sha256 -NotePropertyValue $hash
    $read
}

Function Set-ScepSetting {
    <#
    .SYNOPSIS
    Puts URLs in place of others in what was read, and writes it.
    .PARAMETER Edit
    Objects with Index, Length (of what is there, in characters) and Text (what is to be there), in the order of Index.
    .PARAMETER Expected
    The SHA-256 of what comes out, so that nothing else is ever written. Empty where it is not known yet.
    .PARAMETER DryRun
    Only returns the SHA-256 of what would be written.
    #>
    param ($Target, $Read, [object[]]$Edit, [string]$Expected, [switch]$DryRun)

    $at = 0
    if ($Target.Type -ne 'file') {
        $text = New-Object -TypeName System.Text.StringBuilder
        foreach ($one in $Edit) {
            $null = $text.Append($Read.Text, $at, $one.Index - $at).Append($one.Text)
            $at = $one.Index + $one.Length
        }
        $new = $text.Append($Read.Text, $at, $Read.Text.Length - $at).ToString()
        $hash = Get-ScepTextSha256 -Text $new
    }
    else {
        $encoding = @{ 'utf-16-le' = 'utf-16'; 'utf-16-be' = 'utf-16BE' }[$Read.Encoding]
        $encoder = [System.Text.Encoding]::GetEncoding($(if ($encoding) { $encoding } else { 'us-ascii' }))
        $stream = New-Object -TypeName System.IO.MemoryStream
        foreach ($one in $Edit) {
            $from = $Read.Bom + $one.Index * $Read.Width
            $bytes = $encoder.GetBytes($one.Text)
            $stream.Write($Read.Bytes, $at, $from - $at)
            $stream.Write($bytes, 0, $bytes.Length)
            $at = $from + $one.Length * $Read.Width
        }
        $stream.Write($Read.Bytes, $at, $Read.Bytes.Length - $at)
        $new = $stream.ToArray()
        $hash = Get-ScepSha256 -Bytes $new
    }
    if ($DryRun) { return $hash }
    if ($hash -cne $Expected) { throw "What would be written to $($Target.Path) is not what it should be, so it was not." }
    if ($Target.Type -eq 'file') { Set-ScepFileContent -Path $Target.Path -Bytes $new -Expected $Read.Sha256 }
    else {
        Set-ScepRegistryText -Hive $Target.Hive -Key $Target.Key -Name $Target.Name -Kind $Read.Kind -Text $new -Expected $Read.Sha256
    }
}

Function New-ScepSettingState {
    <#
    .SYNOPSIS
    A setting as it stands in results and undo records: where it is, its URLs that this is about, a hash over all of it.
    .DESCRIPTION
    Nothing else that the setting holds is in it: a command line or a file may hold a password.
    #>
    param ($Target, $Read, [AllowNull()][string]$Sha256, [AllowEmptyCollection()][object[]]$Url)

    [ordered]@{
        source = $Target.Type; path = $Target.Path; name = $Target.Name; kind = $Read.Kind; encoding = $Read.Encoding
        url = $(if ($Url.Count -gt 0) { $Url[0].Text } else { $null })
        urls = [object[]]@(foreach ($one in $Url) { [ordered]@{ index = $one.Index; url = $one.Text } })
        sha256 = $(if ($Sha256) { $Sha256 } else { $null })
    }
}

Function Find-ScepSettingUrl {
    <#
    .SYNOPSIS
    The URLs of a setting that are spellings of one: Index, Length and Text.
    #>
    param ($Target, $Read, [string]$Key)

    $all = $(if ($Target.Type -eq 'mdm') { @(Split-ScepUrlList -Text $Read.Text) } else { @(Find-ScepUrl -Text $Read.Text) })
    foreach ($one in $all) { if ((Read-ScepUrl -Url $one.Text).Key -ceq $Key) { $one } }
}

$export = @{
    Function = @(
        'Find-ScepSettingUrl', 'New-ScepSettingState', 'New-ScepSettingTarget', 'Read-ScepSetting', 'Set-ScepSetting'
    )
}
Export-ModuleMember @export
