# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Undo records: what a change found and what it left, kept on the host as JSON in the value Record of the key
# HKLM\SOFTWARE\winpki.scep\Undo\<change id>, always in the 64-bit view. A record is saved before the change ('prepared')
# and again after it ('done'), so that an interrupted change can be told and undone.

$script:ProductKey = 'SOFTWARE\winpki.scep'
$script:IdPattern = '\A[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}\z'
$script:MaximumLength = 500000  # characters; the registry is no place for values beyond about 1 MB

Function New-ScepUndoId {
    <#
    .SYNOPSIS
    A change id: YYYYMMDDTHHMMSSZ-<8 hex digits>, so that ids sort by time.
    #>
    $bytes = New-Object -TypeName byte[] -ArgumentList 4
    $random = [System.Security.Cryptography.RandomNumberGenerator]::Create()
    try { $random.GetBytes($bytes) }
    finally { $random.Dispose() }
    $time = [DateTime]::UtcNow.ToString("yyyyMMdd'T'HHmmss'Z'", [System.Globalization.CultureInfo]::InvariantCulture)
    '{0}-{1}' -f $time, [BitConverter]::ToString($bytes).Replace('-', '').ToLowerInvariant()
}

Function Assert-ScepUndoId {
    <#
    .SYNOPSIS
    Throws a sentence unless this is a change id. An id becomes the name of a registry key, so nothing else may pass.
    #>
    param ([AllowEmptyString()][string]$ChangeId)

    if ($ChangeId -cnotmatch $script:IdPattern) {
        throw "This is not a change id: it has the form YYYYMMDDTHHMMSSZ-xxxxxxxx, as in 20260131T080000Z-0a1b2c3d. undo_info lists those of a host."
    }
}

Function New-ScepUndoRecord {
    <#
    .SYNOPSIS
    A record of a change that is about to be made, not saved yet.
    .PARAMETER Before
    What the change found, as plain data (ordered hashtables, arrays, strings, numbers, booleans, null).
    .PARAMETER After
    What it will leave.
    #>
    param (
        [Parameter(Mandatory = $true)][string]$Module,
        [AllowEmptyString()][AllowNull()][string]$Role,
        [AllowNull()]$Before,
        [AllowNull()]$After
    )

    $now = [DateTime]::UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss.fffffff'Z'", [System.Globalization.CultureInfo]::InvariantCulture)
    [ordered]@{
        change_id = New-ScepUndoId
        role = $(if ($Role) { $Role } else { $null })
        module = $Module
        host = [Environment]::MachineName
        created = $now
        state = 'prepared'
        before = $Before
        after = $After
    }
}

Function New-UndoSecurity {
    try {
        $security = New-Object -TypeName System.Security.AccessControl.RegistrySecurity
    }
    catch [System.PlatformNotSupportedException] {
        return $null  # .NET without access control lists, which is never so on Windows
    }
    $security.SetAccessRuleProtection($true, $false)
    foreach ($sid in 'S-1-5-18', 'S-1-5-32-544') {  # LocalSystem, Administrators
        $identity = New-Object -TypeName System.Security.Principal.SecurityIdentifier -ArgumentList $sid
        $rule = New-Object -TypeName System.Security.AccessControl.RegistryAccessRule -ArgumentList @(
            $identity, [System.Security.AccessControl.RegistryRights]::FullControl,
            [System.Security.AccessControl.InheritanceFlags]::ContainerInherit,
            [System.Security.AccessControl.PropagationFlags]::None, [System.Security.AccessControl.AccessControlType]::Allow
        )
        $security.AddAccessRule($rule)
    }
    return $security
}

# Whether nobody but LocalSystem and Administrators may do anything with the key.
Function Test-UndoSecurity {
    param ([Microsoft.Win32.RegistryKey]$Key)

    $found = $Key.GetAccessControl([System.Security.AccessControl.AccessControlSections]::Access)
    if (-not $found.AreAccessRulesProtected) { return $false }
    foreach ($rule in $found.GetAccessRules($true, $true, [System.Security.Principal.SecurityIdentifier])) {
        if ($rule.AccessControlType -eq 'Allow' -and $rule.IdentityReference.Value -notin @('S-1-5-18', 'S-1-5-32-544')) {
            return $false
        }
    }
    return $true
}

Function Open-MachineKey {
    [Microsoft.Win32.RegistryKey]::OpenBaseKey(
        [Microsoft.Win32.RegistryHive]::LocalMachine, [Microsoft.Win32.RegistryView]::Registry64)
}

# The key that holds the records, for writing; made if it is not there, its rights put right if they are not.
Function Open-UndoKeyForWriting {
    param ([Microsoft.Win32.RegistryKey]$Machine)

    $writable = [Microsoft.Win32.RegistryKeyPermissionCheck]::ReadWriteSubTree
    $product = $Machine.CreateSubKey($script:ProductKey, $writable)
    try {
        $security = New-UndoSecurity
        if ($null -eq $security) { return $product.CreateSubKey('Undo', $writable) }
        $undo = $product.CreateSubKey('Undo', $writable, $security)
        if (-not (Test-UndoSecurity -Key $undo)) {
            $rights = [System.Security.AccessControl.RegistryRights]'ReadKey, ChangePermissions'
            $owned = $product.OpenSubKey('Undo', $writable, $rights)
            try { $owned.SetAccessControl($security) }
            finally { $owned.Close() }
        }
        return $undo
    }
    finally {
        $product.Close()
    }
}

Function Copy-PlainData {
    <#
    .SYNOPSIS
    The same data as ordered hashtables, arrays and bare values.
    .DESCRIPTION
    PowerShell wraps what comes out of a pipeline, and Windows PowerShell then writes an array as {value, Count} and a
    string with the properties that a cmdlet gave it: so every value is taken out of its wrapping.
    .PARAMETER Marked
    Take the first character off each name and string.
    #>
    param ([AllowNull()]$Value, [switch]$Marked)

    if ($null -eq $Value) { return $null }
    $bare = $Value.PSObject.BaseObject
    $skip = [int][bool]$Marked
    if ($bare -is [string]) { return $bare.Substring($skip) }
    if ($bare -is [System.Collections.IDictionary] -or $bare -is [System.Management.Automation.PSCustomObject]) {
        $copy = [ordered]@{}
        $entries = $(if ($bare -is [System.Collections.IDictionary]) { $bare.GetEnumerator() } else { $Value.PSObject.Properties })
        foreach ($entry in $entries) {
            $name = $(if ($entry -is [System.Collections.DictionaryEntry]) { [string]$entry.Key } else { $entry.Name })
            $item = Copy-PlainData -Value $entry.Value -Marked:$Marked
            if ($null -ne $item) { $item = $item.PSObject.BaseObject }
            $copy.Add($name.Substring($skip), $item)  # an error if two names differ in case only
        }
        return $copy
    }
    if ($bare -is [System.Collections.IList]) {
        $copy = [object[]]::new($bare.Count)
        for ($i = 0; $i -lt $copy.Length; $i++) {
            $item = Copy-PlainData -Value $bare[$i] -Marked:$Marked
            if ($null -ne $item) { $item = $item.PSObject.BaseObject }
            $copy[$i] = $item
        }
        return , $copy
    }
    return $bare
}

# PowerShell 7 reads a string that looks like a time as DateTime, and neither version takes an empty name: a mark in front
# of each string keeps both away, so that what was saved is what is read.
Function ConvertFrom-ExactJson {
    param ([string]$Json)

    $marked = [regex]::Replace($Json, '"((?>[^"\\]+|\\.)*)"', '"~$1"')
    Copy-PlainData -Value (ConvertFrom-Json -InputObject $marked -ErrorAction Stop) -Marked
}

Function Save-ScepUndoRecord {
    <#
    .SYNOPSIS
    Writes a record, in place of the one that has its change id.
    #>
    param ([Parameter(Mandatory = $true)][System.Collections.IDictionary]$Record)

    Assert-ScepUndoId -ChangeId $Record['change_id']
    # A change that could not be undone from its record is not to be begun.
    $json = ''
    try {
        $plain = Copy-PlainData -Value $Record
        $json = ConvertTo-Json -InputObject $plain -Depth 20 -Compress
        $exact = @(Compare-ScepState -Expected $plain -Actual (ConvertFrom-ExactJson -Json $json)).Count -eq 0
    }
    catch {
        $exact = $false
    }
    if (-not $exact) {
        throw 'The undo record of this change would not be read as it was written, so it could not be undone: nothing was changed.'
    }
    if ($json.Length -gt $script:MaximumLength) {
        throw ("The undo record of this change would have $($json.Length) characters, more than the " +
            "$($script:MaximumLength) that the registry should hold: nothing was changed.")
    }
    $machine = Open-MachineKey
    try {
        $undo = Open-UndoKeyForWriting -Machine $machine
        try {
            $key = $undo.CreateSubKey($Record['change_id'])
            try {
                $key.SetValue('Record', $json, [Microsoft.Win32.RegistryValueKind]::String)
                $key.Flush()
            }
            finally {
                $key.Close()
            }
        }
        finally {
            $undo.Close()
        }
    }
    catch [System.UnauthorizedAccessException], [System.Security.SecurityException], [System.IO.IOException] {
        throw "The undo record could not be written to HKLM\$($script:ProductKey)\Undo: $($_.Exception.Message) An account with administrator rights is needed."
    }
    finally {
        $machine.Close()
    }
}

Function Read-UndoKey {
    param ([Microsoft.Win32.RegistryKey]$Undo, [string]$ChangeId)

    $key = $Undo.OpenSubKey($ChangeId)
    if ($null -eq $key) { return }
    try {
        # Cut off before the record was in it, and so before the change: there is nothing to undo.
        if ($key.ValueCount -eq 0) { return }
        $json = $key.GetValue('Record', $null, [Microsoft.Win32.RegistryValueOptions]::DoNotExpandEnvironmentNames)
    }
    finally {
        $key.Close()
    }
    $why = 'it has no text value Record'
    if ($json -is [string]) {
        try {
            $record = ConvertFrom-ExactJson -Json $json
            $wanted = 'change_id', 'role', 'module', 'host', 'created', 'state', 'before', 'after'
            if ($record -is [System.Collections.IDictionary] -and
                @($wanted | Where-Object -FilterScript { -not $record.Contains($_) }).Count -eq 0 -and
                $record['change_id'] -ceq $ChangeId -and $record['state'] -cin @('prepared', 'done', 'undone')) {
                return $record
            }
            $why = 'its text is not a record of this change'
        }
        catch {
            $why = 'its text is not JSON'
        }
    }
    [ordered]@{ change_id = $ChangeId; state = 'unreadable'; error = "The undo record $ChangeId is damaged: $why." }
}

Function Get-ScepUndoRecord {
    <#
    .SYNOPSIS
    The records of this host, oldest first (damaged ones before them), or the one with a change id.
    .DESCRIPTION
    With ChangeId, a malformed id, an unknown one, a damaged record and one of another module are errors. Without it, a
    damaged record is {change_id, state 'unreadable', error}.
    #>
    param ([string]$ChangeId, [string]$Module)

    $wanted = $PSBoundParameters.ContainsKey('ChangeId')
    if ($wanted) { Assert-ScepUndoId -ChangeId $ChangeId }
    $records = @()
    $machine = Open-MachineKey
    try {
        $undo = $machine.OpenSubKey("$($script:ProductKey)\Undo")
        if ($null -ne $undo) {
            try {
                $names = $(if ($wanted) { @($ChangeId) } else { @($undo.GetSubKeyNames()) })
                $records = @(foreach ($name in $names) { Read-UndoKey -Undo $undo -ChangeId $name })
            }
            finally {
                $undo.Close()
            }
        }
    }
    catch [System.UnauthorizedAccessException], [System.Security.SecurityException], [System.IO.IOException] {
        throw "The undo records in HKLM\$($script:ProductKey)\Undo cannot be read: $($_.Exception.Message) An account with administrator rights is needed."
    }
    finally {
        $machine.Close()
    }
    # Ids tell no more than the second, times do.
    if (-not $wanted) { return @($records | Sort-Object -Property { $_['created'] }, { $_['change_id'] }) }
    if ($records.Count -eq 0) {
        throw "$([Environment]::MachineName) has no undo record $ChangeId. undo_info lists those that it has."
    }
    $record = $records[0]
    if ($record['state'] -eq 'unreadable') { throw "$($record['error']) It cannot be undone with it." }
    if ($Module -and $record['module'] -cne $Module) {
        throw "$ChangeId is a change of the module $($record['module']), not of $($Module): undo it with $($record['module'])."
    }
    return $record
}

Function Remove-ScepUndoRecord {
    <#
    .SYNOPSIS
    Takes a record away, for a change that was not made in the end. No error where it is not there.
    #>
    param ([Parameter(Mandatory = $true)][string]$ChangeId)

    Assert-ScepUndoId -ChangeId $ChangeId
    $machine = Open-MachineKey
    try {
        $undo = $machine.OpenSubKey("$($script:ProductKey)\Undo", $true)
        if ($null -ne $undo) {
            try { $undo.DeleteSubKeyTree($ChangeId, $false) }
            finally { $undo.Close() }
        }
    }
    finally {
        $machine.Close()
    }
}

Function Compare-ScepState {
    <#
    .SYNOPSIS
    What is not as a record has it: one sentence for each value, nothing if all is the same.
    .DESCRIPTION
    Numbers are compared by what they are, whatever type JSON gave them; a name that is missing is not the same as null.
    #>
    param ([AllowNull()]$Expected, [AllowNull()]$Actual, [string]$Name = '')

    if ($Expected -is [System.Collections.IDictionary] -and $Actual -is [System.Collections.IDictionary]) {
        foreach ($key in @(@($Expected.Keys) + @($Actual.Keys) | Select-Object -Unique)) {
            $path = $(if ($Name) { "$Name.$key" } else { "$key" })
            if (-not $Actual.Contains($key)) { "$path is gone." }
            elseif (-not $Expected.Contains($key)) { "$path is new." }
            else { Compare-ScepState -Expected $Expected[$key] -Actual $Actual[$key] -Name $path }
        }
    }
    elseif ($Expected -is [array] -and $Actual -is [array] -and $Expected.Length -eq $Actual.Length) {
        for ($i = 0; $i -lt $Expected.Length; $i++) {
            Compare-ScepState -Expected $Expected[$i] -Actual $Actual[$i] -Name "$Name[$i]"
        }
    }
    else {
        # Windows PowerShell's ConvertTo-Json says nothing of null.
        $was = $(if ($null -eq $Expected) { 'null' } else { ConvertTo-Json -InputObject $Expected -Depth 20 -Compress })
        $is = $(if ($null -eq $Actual) { 'null' } else { ConvertTo-Json -InputObject $Actual -Depth 20 -Compress })
        if ($was -cne $is) {
            $texts = foreach ($text in $was, $is) { if ($text.Length -gt 100) { $text.Substring(0, 100) + '...' } else { $text } }
            "$Name is $($texts[1]), not $($texts[0])."
        }
    }
}

$export = @{
    Function = @(
        'Assert-ScepUndoId', 'Compare-ScepState', 'Get-ScepUndoRecord', 'New-ScepUndoId', 'New-ScepUndoRecord', 'Remove-ScepUndoRecord',
        'Save-ScepUndoRecord'
    )
}
Export-ModuleMember @export
