# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Where SCEP clients keep their settings: registry values and text files. Reads only. The challenge of a profile is a
# secret: a path or value of that name is never opened.

$script:FileLimit = 8388608  # bytes; settings are small
$script:Latin1 = [System.Text.Encoding]::GetEncoding(28591)  # each byte is one character, so nothing is lost

Function Open-ScepHive {
    <#
    .SYNOPSIS
    HKLM, HKU or HKCU in the 64-bit view, whatever process this is. The caller closes it.
    #>
    param ([Parameter(Mandatory = $true)][ValidateSet('HKLM', 'HKU', 'HKCU')][string]$Hive)

    $name = @{ HKLM = 'LocalMachine'; HKU = 'Users'; HKCU = 'CurrentUser' }[$Hive]
    [Microsoft.Win32.RegistryKey]::OpenBaseKey([Microsoft.Win32.RegistryHive]$name, [Microsoft.Win32.RegistryView]::Registry64)
}

Function Test-ScepSecretName {
    <#
    .SYNOPSIS
    Whether a registry path or value name leads to the challenge of a profile.
    #>
    param ([Parameter(Mandatory = $true)][AllowEmptyString()][string]$Path)

    @($Path.Split('\') | Where-Object -FilterScript { $_.Trim() -like '*challenge*' }).Count -gt 0
}

Function Resolve-ScepRegistryPath {
    <#
    .SYNOPSIS
    A key's path as an object with Hive (HKLM, HKU, HKCU), Key and Path (the usual spelling). Throws a sentence.
    .PARAMETER Option
    The option that it comes from, for the sentence.
    #>
    param ([Parameter(Mandatory = $true)][AllowEmptyString()][string]$Path, [string]$Option = 'registry_values')

    $forms = 'HKLM|HKU|HKCU|HKEY_LOCAL_MACHINE|HKEY_USERS|HKEY_CURRENT_USER'
    $match = [regex]::Match($Path, "\A(?:Registry::)?(?<hive>$forms):?\\+(?<key>[^\x00-\x1F]+)\z", 'IgnoreCase, CultureInvariant')
    $key = $match.Groups['key'].Value.Trim('\')
    if (-not $match.Success -or $key -eq '' -or $key.Contains('\\')) {
        throw "$($Option): '$Path' is not the path of a registry key; it has to begin with HKLM\, HKU\ or HKCU\, as in HKLM\SOFTWARE\Example."
    }
    $hive = $match.Groups['hive'].Value.ToUpperInvariant()
    $short = @{ HKEY_LOCAL_MACHINE = 'HKLM'; HKEY_USERS = 'HKU'; HKEY_CURRENT_USER = 'HKCU' }
    if ($short.ContainsKey($hive)) { $hive = $short[$hive] }
    [PSCustomObject]@{ Hive = $hive; Key = $key; Path = "$hive\$key" }
}

Function Read-ScepRegistryText {
    <#
    .SYNOPSIS
    A text value of the registry: an object with Text, Kind (String, ExpandString) and Problem.
    .DESCRIPTION
    Problem is null, or one of no_key, no_value, not_text, denied, failed, secret, with a sentence in Message.
    #>
    param ([Parameter(Mandatory = $true)][string]$Hive, [Parameter(Mandatory = $true)][string]$Key, [AllowEmptyString()][string]$Name)

    $found = [PSCustomObject]@{ Text = $null; Kind = $null; Problem = $null; Message = $null }
    if (Test-ScepSecretName -Path "$Key\$Name") {
        $found.Problem = 'secret'
        $found.Message = "$Hive\$Key, value '$Name', may hold a challenge, so it is not read."
        return $found
    }
    $root = Open-ScepHive -Hive $Hive
    try {
        $opened = $root.OpenSubKey($Key)
        if ($null -eq $opened) {
            $found.Problem = 'no_key'
            $found.Message = "There is no key $Hive\$Key in the 64-bit view of the registry."
            return $found
        }
        try {
            if (@($opened.GetValueNames() | Where-Object -FilterScript { $_ -eq $Name }).Count -eq 0) {
                $found.Problem = 'no_value'
                $found.Message = "$Hive\$Key has no value '$Name'."
                return $found
            }
            $found.Kind = [string]$opened.GetValueKind($Name)
            $text = $opened.GetValue($Name, $null, [Microsoft.Win32.RegistryValueOptions]::DoNotExpandEnvironmentNames)
        }
        finally {
            $opened.Close()
        }
        if ($found.Kind -in @('String', 'ExpandString') -and $text -is [string]) { $found.Text = $text }
        else {
            $found.Problem = 'not_text'
            $found.Message = "$Hive\$Key, value '$Name', is of type $($found.Kind); only REG_SZ and REG_EXPAND_SZ are read."
        }
    }
    catch [System.UnauthorizedAccessException], [System.Security.SecurityException] {
        $found.Problem = 'denied'
        $found.Message = "This account may not read $Hive\$Key; an account with administrator rights is needed."
    }
    catch [System.IO.IOException] {
        $found.Problem = 'failed'
        $found.Message = "$Hive\$Key can't be read: $($_.Exception.GetBaseException().Message)"
    }
    finally {
        $root.Close()
    }
    $found
}

Function Resolve-ScepFilePath {
    <#
    .SYNOPSIS
    The full path of a file as given. Throws a sentence where it is not full, or names a device or a stream.
    #>
    param ([Parameter(Mandatory = $true)][AllowEmptyString()][string]$Path, [string]$Option = 'files')

    $full = ''
    if ($Path -notmatch '[\x00-\x1F]' -and $Path -notmatch '\A[\\/]{2}[.?]' -and $Path -notmatch '\A..+:') {
        try { $full = [System.IO.Path]::GetFullPath($Path) }
        catch [System.ArgumentException], [System.NotSupportedException], [System.IO.IOException] { $full = '' }
    }
    # What is not full already gets another beginning: this process's folder or drive.
    if ($full -eq '' -or $full.Replace('/', '\') -cne $Path.Replace('/', '\')) {
        throw "$($Option): '$Path' is not the full path of a file; give it with its drive and without '..', as in C:\ProgramData\Example\scep.ini."
    }
    $full
}

Function Get-ScepFileBackup {
    <#
    .SYNOPSIS
    The name that a file has while a new one takes its place. One for each file, so that what was cut off is found again.
    #>
    param ([Parameter(Mandatory = $true)][string]$Path)

    "$Path.winpki.scep.old"
}

Function Find-ScepFile {
    <#
    .SYNOPSIS
    Where a file is: at its path, or, if a change was cut off between its two renamings, at its backup's.
    #>
    param ([Parameter(Mandatory = $true)][string]$Path)

    $backup = Get-ScepFileBackup -Path $Path
    if (-not [System.IO.File]::Exists($Path) -and [System.IO.File]::Exists($backup)) { return $backup }
    $Path
}

Function Get-ByteOrder {
    # The encoding that a file's first bytes say, else the one that its bytes show: Name, Bom (its length), Width (bytes a character).
    param ([byte[]]$Bytes)

    $first = [BitConverter]::ToString($Bytes, 0, [Math]::Min(4, $Bytes.Length))
    if ($first -in @('FF-FE-00-00', '00-00-FE-FF')) { return @{ Name = 'utf-32'; Bom = 4; Width = 4 } }
    if ($first.StartsWith('EF-BB-BF')) { return @{ Name = 'utf-8'; Bom = 3; Width = 1 } }
    if ($first.StartsWith('FF-FE')) { return @{ Name = 'utf-16-le'; Bom = 2; Width = 2 } }
    if ($first.StartsWith('FE-FF')) { return @{ Name = 'utf-16-be'; Bom = 2; Width = 2 } }
    $text = $script:Latin1.GetString($Bytes)
    if ($text.IndexOf([char]0) -ge 0) {
        # Without a mark, UTF-16 shows by the noughts of a URL's own characters, and by which of two bytes they are.
        $start = [regex]::Match($text, 'h\x00t\x00t\x00p', 'IgnoreCase, CultureInvariant')
        if ($start.Success -and $start.Index % 2 -eq 0) { return @{ Name = 'utf-16-le'; Bom = 0; Width = 2 } }
        if ($start.Success) { return @{ Name = 'utf-16-be'; Bom = 0; Width = 2 } }
        return @{ Name = 'binary'; Bom = 0; Width = 1 }
    }
    if ($text -cnotmatch '[^\x00-\x7F]') { return @{ Name = 'ascii'; Bom = 0; Width = 1 } }
    try {
        $null = (New-Object -TypeName System.Text.UTF8Encoding -ArgumentList $false, $true).GetString($Bytes)
        return @{ Name = 'utf-8'; Bom = 0; Width = 1 }
    }
    catch [System.ArgumentException] {
        return @{ Name = 'ansi'; Bom = 0; Width = 1 }
    }
}

Function Read-ScepTextFile {
    <#
    .SYNOPSIS
    A text file: an object with Bytes, Text, Encoding, Bom (length in bytes), Width (bytes a character) and Problem.
    .DESCRIPTION
    The character at index i of Text is at byte Bom + i * Width, so that bytes can be changed where the text says it. Text
    of UTF-8 and of code pages is one character a byte: right for ASCII, which is all that URLs are.
    Encoding is utf-8, utf-16-le, utf-16-be, ascii, or ansi (any code page). Problem is null, or one of no_file, denied,
    in_use, too_large, binary, failed, with a sentence in Message.
    #>
    param ([Parameter(Mandatory = $true)][string]$Path)

    $found = [PSCustomObject]@{
        Bytes = $null; Text = $null; Encoding = $null; Bom = 0; Width = 1; Problem = $null; Message = $null
    }
    try {
        $stream = [System.IO.File]::Open($Path, 'Open', 'Read', 'Read')
        try {
            if ($stream.Length -gt $script:FileLimit) {
                $found.Problem = 'too_large'
                $found.Message = "$Path has $($stream.Length) bytes; a file of settings of more than $($script:FileLimit) is not read."
                return $found
            }
            $bytes = New-Object -TypeName byte[] -ArgumentList $stream.Length
            $count = 0
            while ($count -lt $bytes.Length) {
                $got = $stream.Read($bytes, $count, $bytes.Length - $count)
                if ($got -eq 0) { throw (New-Object -TypeName System.IO.EndOfStreamException) }
                $count += $got
            }
        }
        finally {
            $stream.Dispose()
        }
    }
    catch [System.IO.FileNotFoundException], [System.IO.DirectoryNotFoundException] {
        $found.Problem = 'no_file'
        $found.Message = "There is no file $Path."
        return $found
    }
    catch [System.UnauthorizedAccessException], [System.Security.SecurityException] {
        $found.Problem = 'denied'
        $found.Message = "This account may not read $Path, or it is a folder."
        return $found
    }
    catch [System.IO.IOException] {
        $cause = $_.Exception.GetBaseException()
        $found.Problem = 'failed'
        $found.Message = "$Path can't be read: $($cause.Message)"
        # ERROR_SHARING_VIOLATION and ERROR_LOCK_VIOLATION; .NET elsewhere has the platform's own number.
        if (($cause.HResult -band 0xFFFF) -in @(11, 32, 33)) {
            $found.Problem = 'in_use'
            $found.Message = "$Path is in use by another program: close it, or stop the service that it belongs to."
        }
        return $found
    }
    $order = Get-ByteOrder -Bytes $bytes
    $found.Bytes = $bytes
    $found.Encoding = $order.Name
    $found.Bom = $order.Bom
    $found.Width = $order.Width
    if ($order.Name -in @('binary', 'utf-32')) {
        $found.Problem = 'binary'
        $found.Message = "$Path is no text in UTF-8, UTF-16 or a code page, so no URL is looked for in it."
        return $found
    }
    $encoding = $script:Latin1
    if ($order.Name -eq 'utf-16-le') { $encoding = [System.Text.Encoding]::Unicode }
    elseif ($order.Name -eq 'utf-16-be') { $encoding = [System.Text.Encoding]::BigEndianUnicode }
    $found.Text = $encoding.GetString($bytes, $order.Bom, $bytes.Length - $order.Bom)
    $found
}

$export = @{
    Function = @(
        'Find-ScepFile', 'Get-ScepFileBackup', 'Open-ScepHive', 'Read-ScepRegistryText', 'Read-ScepTextFile', 'Resolve-ScepFilePath',
        'Resolve-ScepRegistryPath', 'Test-ScepSecretName'
    )
}
Export-ModuleMember @export
