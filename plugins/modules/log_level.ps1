#!powershell

# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic
#AnsibleRequires -PowerShell ..module_utils._Change
#AnsibleRequires -PowerShell ..module_utils._Undo

$spec = @{
    options = @{
        level = @{ type = 'int'; choices = @(0, 1, 2, 3, 4, 5) }
        role = @{ type = 'str' }
        state = @{ type = 'str'; choices = @('absent', 'present'); default = 'present' }
        undo = @{ type = 'str' }
    }
    mutually_exclusive = @(
        , @('level', 'undo')
    )
    supports_check_mode = $true
}

$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

$level = $module.Params.level
$role = $module.Params.role
$state = $module.Params.state
$undo = $module.Params.undo

Initialize-ScepChangeResult -Module $module

$keyPath = 'SOFTWARE\Microsoft\Cryptography\AutoEnrollment'
$valueName = 'LogLevel'
$defaultLevel = 3

Function Open-Machine {
    [Microsoft.Win32.RegistryKey]::OpenBaseKey(
        [Microsoft.Win32.RegistryHive]::LocalMachine, [Microsoft.Win32.RegistryView]::Registry64)
}

Function New-LevelState {
    <#
    .SYNOPSIS
    The level as it stands in results and undo records.
    #>
    param ([bool]$KeyExists, [AllowNull()]$Kind, [AllowNull()]$Data)

    $value = $null
    # A DWORD is without sign, .NET reads it with one.
    if ($Kind -ceq 'DWord') { $value = [int64][BitConverter]::ToUInt32([BitConverter]::GetBytes([int]$Data), 0) }
    $effective = $null
    if ($null -eq $Kind) { $effective = $defaultLevel }
    elseif ($null -ne $value -and $value -le 5) { $effective = $value }
    [ordered]@{ value = $value; effective = $effective; key_exists = $KeyExists; kind = $Kind; data = $Data }
}

Function Get-LevelState {
    $machine = Open-Machine
    try {
        $key = $machine.OpenSubKey($keyPath)
        if ($null -eq $key) { return New-LevelState -KeyExists $false }
        try {
            if (@($key.GetValueNames() | Where-Object -FilterScript { $_ -eq $valueName }).Count -eq 0) {
                return New-LevelState -KeyExists $true
            }
            $kind = [string]$key.GetValueKind($valueName)
            $raw = $key.GetValue($valueName, $null, [Microsoft.Win32.RegistryValueOptions]::DoNotExpandEnvironmentNames)
        }
        finally {
            $key.Close()
        }
    }
    catch [System.UnauthorizedAccessException], [System.Security.SecurityException], [System.IO.IOException] {
        throw "HKLM\$keyPath can't be read: $($_.Exception.Message) An account with administrator rights is needed."
    }
    finally {
        $machine.Close()
    }
    # Data that does not have its kind's form could not be put back.
    if ($kind -cin @('String', 'ExpandString') -and $raw -is [string]) { $data = $raw }
    elseif ($kind -ceq 'MultiString' -and $raw -is [string[]]) { $data = [object[]]$raw }
    elseif ($kind -ceq 'DWord' -and $raw -is [int]) { $data = $raw }
    elseif ($kind -ceq 'QWord' -and $raw -is [long]) { $data = $raw }
    elseif ($kind -cin @('Binary', 'None') -and $raw -is [byte[]]) {
        $data = [BitConverter]::ToString($raw).Replace('-', '').ToLowerInvariant()
    }
    else { $kind = 'Unknown'; $data = $null }
    New-LevelState -KeyExists $true -Kind $kind -Data $data
}

Function ConvertFrom-Data {
    <#
    .SYNOPSIS
    The data of a state, as the registry takes it.
    #>
    param ([string]$Kind, [AllowNull()]$Data)

    switch -CaseSensitive ($Kind) {
        'DWord' { return [int]$Data }
        'QWord' { return [long]$Data }
        'MultiString' { return , [string[]]@($Data) }
        { $_ -cin @('String', 'ExpandString') } { return [string]$Data }
        { $_ -cin @('Binary', 'None') } {
            $bytes = New-Object -TypeName byte[] -ArgumentList ($Data.Length / 2)
            for ($i = 0; $i -lt $bytes.Length; $i++) { $bytes[$i] = [Convert]::ToByte($Data.Substring(2 * $i, 2), 16) }
            return , $bytes
        }
    }
    throw "The undo record is damaged: '$Kind' is no kind of registry value. It cannot be undone with it."
}

Function Set-LevelState {
    <#
    .SYNOPSIS
    Brings the registry to a state; a key that was not there and holds nothing else is removed again.
    #>
    param ([System.Collections.IDictionary]$State)

    $machine = Open-Machine
    try {
        if ($null -ne $State['kind']) {
            $data = ConvertFrom-Data -Kind $State['kind'] -Data $State['data']
            $key = $machine.CreateSubKey($keyPath)
            try { $key.SetValue($valueName, $data, [Microsoft.Win32.RegistryValueKind]$State['kind']) }
            finally { $key.Close() }
            return
        }
        $key = $machine.OpenSubKey($keyPath, $true)
        if ($null -eq $key) { return }
        try {
            $key.DeleteValue($valueName, $false)
            $empty = $key.ValueCount -eq 0 -and $key.SubKeyCount -eq 0
        }
        finally {
            $key.Close()
        }
        if ($empty -and -not $State['key_exists']) { $machine.DeleteSubKey($keyPath, $false) }
    }
    finally {
        $machine.Close()
    }
}

Function Assert-LevelState {
    param ([System.Collections.IDictionary]$State)

    # A key that was made may have got other values by now, and then stays.
    $found = Get-LevelState
    $found['key_exists'] = $State['key_exists']
    $differences = @(Compare-ScepState -Expected $State -Actual $found)
    if ($differences.Count -gt 0) { throw "The registry did not take it: $($differences -join ' ')" }
}

Function Restore-LevelState {
    param ([System.Collections.IDictionary]$State)

    # Where nothing was written, writing is most likely not allowed.
    if (@(Compare-ScepState -Expected $State -Actual (Get-LevelState)).Count -eq 0) { return }
    Set-LevelState -State $State
    Assert-LevelState -State $State
}

Function ConvertTo-DiffText {
    param ([System.Collections.IDictionary]$State)

    $text = 'not set'
    if ($null -ne $State['kind']) {
        $text = '{0} {1}' -f $State['kind'], (ConvertTo-Json -InputObject $State['data'] -Compress)
    }
    if ($null -eq $State['kind'] -and -not $State['key_exists']) { $text += ', without its key' }
    "HKLM\$keyPath\${valueName}: $text`n"
}

Function Set-Outcome {
    param ([System.Collections.IDictionary]$Before, [System.Collections.IDictionary]$After)

    $outcome = @{
        Changed = @(Compare-ScepState -Expected $Before -Actual $After).Count -gt 0
        Before = $Before
        After = $After
        DiffBefore = ConvertTo-DiffText -State $Before
        DiffAfter = ConvertTo-DiffText -State $After
    }
    Set-ScepOutcome -Module $module @outcome
}

Function Invoke-LevelChange {
    param ([System.Collections.IDictionary]$Record, [string]$State, $Before, $After)

    $change = @{
        Record = $Record
        State = $State
        Apply = { Set-LevelState -State $After; Assert-LevelState -State $After }
        Restore = { Restore-LevelState -State $Before }
    }
    Invoke-ScepChange -Module $module @change
}

Function Set-Level {
    if ($state -eq 'absent' -and $null -ne $level) {
        throw 'level: there is none to set with state=absent, which removes the value; leave level or state out.'
    }
    $before = Get-LevelState
    $after = $before
    if ($state -eq 'absent') {
        if ($null -ne $before['kind']) { $after = New-LevelState -KeyExists $true }
    }
    elseif ($null -ne $level -and $before['value'] -ne $level) {
        $after = New-LevelState -KeyExists $true -Kind 'DWord' -Data $level
    }
    if ($before['kind'] -ceq 'Unknown' -and $after['kind'] -cne 'Unknown') {
        Deny-ScepChange -Module $module -Reason 'unreadable_value' -Message (
            "HKLM\$keyPath has a value $valueName of a type, or with data, that could not be put back: look at it, and " +
            'remove it by hand if it is not wanted.')
    }
    Set-Outcome -Before $before -After $after
    if ($module.CheckMode -or -not $module.Result.changed) { return }

    $record = New-ScepUndoRecord -Module 'log_level' -Role $role -Before $before -After $after
    Invoke-LevelChange -Record $record -State 'done' -Before $before -After $after
}

Function Undo-Change {
    if ($state -eq 'absent') { throw 'undo: it is not possible together with state=absent; leave one of them out.' }
    $record = Get-ScepUndoRecord -ChangeId $undo -Module 'log_level'
    $current = Get-LevelState
    $step = Get-ScepUndoStep -Record $record -Current $current
    if ($step.Differences.Count -gt 0) {
        Deny-ScepChange -Module $module -Reason 'changed_since' -Message (
            "The log level is not as the change $undo left it: $($step.Differences -join ' ') Set it by hand, or with " +
            'level or state=absent.')
    }
    Set-Outcome -Before $current -After $step.Target
    if ($module.CheckMode -or -not $step.Mark) { return }

    Invoke-LevelChange -Record $record -State 'undone' -Before $current -After $step.Target
    if ($module.Result.changed) { $module.Result.after = Get-LevelState }
}

try {
    if ($null -ne $undo) { Undo-Change }
    else { Set-Level }
}
catch {
    Exit-ScepChange -Module $module -ErrorRecord $_
}
$module.ExitJson()
