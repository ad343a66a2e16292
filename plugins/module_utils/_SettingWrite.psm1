# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -PowerShell ._Setting

# Writes settings of SCEP clients: a registry value with its kind, a file in one step. Each checks first that the setting
# still is what was read, and reads again what it wrote.

Function Get-ScepSha256 {
    <#
    .SYNOPSIS
    The SHA-256 of bytes, 64 lower hex digits.
    #>
    param ([Parameter(Mandatory = $true)][AllowEmptyCollection()][byte[]]$Bytes)

    $sha256 = [System.Security.Cryptography.SHA256]::Create()
    try { [BitConverter]::ToString($sha256.ComputeHash($Bytes)).Replace('-', '').ToLowerInvariant() }
    finally { $sha256.Dispose() }
}

Function Get-ScepTextSha256 {
    <#
    .SYNOPSIS
    The SHA-256 of a registry value's text, over its UTF-16 characters without the nought at the end.
    #>
    param ([Parameter(Mandatory = $true)][AllowEmptyString()][string]$Text)

    Get-ScepSha256 -Bytes ([System.Text.Encoding]::Unicode.GetBytes($Text))
}

Function Set-ScepRegistryText {
    <#
    .SYNOPSIS
    Writes a text value in place of the one with this hash. Throws where it is another by now, or was not taken.
    .PARAMETER Expected
    The SHA-256 of the text that is there now.
    #>
    param (
        [Parameter(Mandatory = $true)][string]$Hive, [Parameter(Mandatory = $true)][string]$Key, [AllowEmptyString()][string]$Name,
        [Parameter(Mandatory = $true)][ValidateSet('String', 'ExpandString')][string]$Kind,
        [Parameter(Mandatory = $true)][AllowEmptyString()][string]$Text, [Parameter(Mandatory = $true)][string]$Expected
    )

    $now = Read-ScepRegistryText -Hive $Hive -Key $Key -Name $Name
    if ($null -ne $now.Problem) { throw $now.Message }
    if ($now.Kind -cne $Kind -or (Get-ScepTextSha256 -Text $now.Text) -cne $Expected) {
        throw "$Hive\$Key, value '$Name', was changed by another while it was looked at; run this again."
    }
    $root = Open-ScepHive -Hive $Hive
    try {
        $opened = $root.OpenSubKey($Key, $true)
        if ($null -eq $opened) { throw "The key $Hive\$Key is gone." }
        try { $opened.SetValue($Name, $Text, [Microsoft.Win32.RegistryValueKind]$Kind) }
        finally { $opened.Close() }
    }
    finally {
        $root.Close()
    }
    $now = Read-ScepRegistryText -Hive $Hive -Key $Key -Name $Name
    if ($null -ne $now.Problem -or $now.Kind -cne $Kind -or $now.Text -cne $Text) {
        throw "$Hive\$Key, value '$Name', did not take the new text."
    }
}

Function Get-ScepFileObstacle {
    <#
    .SYNOPSIS
    Why a file is not to be replaced: an object with Reason (linked, read_only) and Message, or nothing.
    .DESCRIPTION
    A link, here or in a folder above, could lead the write to another file than the one that was named.
    #>
    param ([Parameter(Mandatory = $true)][string]$Path)

    $file = Find-ScepFile -Path $Path
    $at = $file
    while ($at) {
        $attributes = [System.IO.File]::GetAttributes($at)
        if ($attributes -band [System.IO.FileAttributes]::ReparsePoint) {
            return [PSCustomObject]@{
                Reason = 'linked'
                Message = "$at is a link or another reparse point: name the file that it leads to."
            }
        }
        if ($at -ceq $file -and $attributes -band [System.IO.FileAttributes]::ReadOnly) {
            return [PSCustomObject]@{ Reason = 'read_only'; Message = "$Path is read-only: take the attribute away if it may be changed." }
        }
        $at = [System.IO.Path]::GetDirectoryName($at)
    }
}

# Gives a new file the access rights of another, before anything is in it. .NET and .NET Framework have the calls in
# different places; neither has them on another system than Windows.
Function Copy-FileAccess {
    param ([string]$From, [string]$To)

    $source = New-Object -TypeName System.IO.FileInfo -ArgumentList $From
    $target = New-Object -TypeName System.IO.FileInfo -ArgumentList $To
    $section = [System.Security.AccessControl.AccessControlSections]::Access
    $extensions = 'System.IO.FileSystemAclExtensions' -as [type]
    try {
        $security = New-Object -TypeName System.Security.AccessControl.FileSecurity
        if ($null -ne $extensions) {
            $found = $extensions::GetAccessControl($source, $section)
            $security.SetSecurityDescriptorBinaryForm($found.GetSecurityDescriptorBinaryForm(), $section)
            $extensions::SetAccessControl($target, $security)
        }
        else {
            $found = $source.GetAccessControl($section)
            $security.SetSecurityDescriptorBinaryForm($found.GetSecurityDescriptorBinaryForm(), $section)
            $target.SetAccessControl($security)
        }
    }
    catch [System.PlatformNotSupportedException] {
        return
    }
}

Function Get-NewFilePath {
    param ([string]$Path)

    "$Path.winpki.scep.new"
}

Function Repair-ScepFile {
    <#
    .SYNOPSIS
    Puts a file back that a change, which was cut off, left under its backup's name, and deletes what it left beside the file.
    .DESCRIPTION
    While the file is missing nothing is deleted. What another program keeps open stays; the next change deletes it.
    #>
    param ([Parameter(Mandatory = $true)][string]$Path)

    $at = Find-ScepFile -Path $Path
    if ($at -cne $Path) { [System.IO.File]::Move($at, $Path) }
    if (-not [System.IO.File]::Exists($Path)) { return }
    foreach ($remnant in (Get-NewFilePath -Path $Path), (Get-ScepFileBackup -Path $Path)) {
        try { [System.IO.File]::Delete($remnant) }
        catch [System.IO.IOException], [System.UnauthorizedAccessException] { continue }
    }
}

Function Set-ScepFileContent {
    <#
    .SYNOPSIS
    Writes a file's bytes in place of those with this hash, in one step: by a new file beside it that takes its place.
    .DESCRIPTION
    Access rights, attributes and further streams are those of the old file; its owner may become the account that this runs
    as. Throws a sentence where it can't be done, and then the old file is as it was, with nothing beside it; also nothing
    that an earlier change left there.
    .PARAMETER Expected
    The SHA-256 of the bytes that are there now.
    #>
    param (
        [Parameter(Mandatory = $true)][string]$Path, [Parameter(Mandatory = $true)][AllowEmptyCollection()][byte[]]$Bytes,
        [Parameter(Mandatory = $true)][string]$Expected
    )

    $temporary = Get-NewFilePath -Path $Path
    Repair-ScepFile -Path $Path
    try {
        [System.IO.File]::Open($temporary, 'CreateNew', 'Write', 'None').Dispose()
        Copy-FileAccess -From $Path -To $temporary
        # Brings attributes and further streams along; the bytes follow.
        [System.IO.File]::Copy($Path, $temporary, $true)
        $stream = [System.IO.File]::Open($temporary, 'Open', 'Write', 'None')
        try {
            $stream.SetLength(0)
            $stream.Write($Bytes, 0, $Bytes.Length)
            $stream.Flush($true)
        }
        finally {
            $stream.Dispose()
        }
        $obstacle = Get-ScepFileObstacle -Path $Path
        if ($null -ne $obstacle) { throw $obstacle.Message }
        $now = Read-ScepTextFile -Path $Path
        if ($null -ne $now.Problem) { throw $now.Message }
        if ((Get-ScepSha256 -Bytes $now.Bytes) -cne $Expected) {
            throw "$Path was changed by another while it was looked at; run this again."
        }
        # Windows renames the old file, then the new one. Without a name for the old one it would be gone if the second
        # renaming failed (ReplaceFile, ERROR_UNABLE_TO_MOVE_REPLACEMENT).
        [System.IO.File]::Replace($temporary, $Path, (Get-ScepFileBackup -Path $Path), $false)
        $now = Read-ScepTextFile -Path $Path
        if ($null -ne $now.Problem) { throw "$Path was written, but $($now.Message)" }
        if ((Get-ScepSha256 -Bytes $now.Bytes) -cne (Get-ScepSha256 -Bytes $Bytes)) { throw "$Path did not take the new text." }
    }
    finally {
        Repair-ScepFile -Path $Path
    }
}

$export = @{
    Function = @(
        'Get-ScepFileObstacle', 'Get-ScepSha256', 'Get-ScepTextSha256', 'Repair-ScepFile', 'Set-ScepFileContent',
        'Set-ScepRegistryText'
    )
}
Export-ModuleMember @export
