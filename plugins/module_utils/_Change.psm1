# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -PowerShell ._Undo

# A change of one setting, with its undo record around it: the host ends in the state before or in the one after.

Function Invoke-ScepChange {
    <#
    .SYNOPSIS
    Does a change, or takes one back, and marks its record. Throws a sentence if it can't be done.
    .DESCRIPTION
    Emits nothing if all went well, else an object with Message, and HalfDone: whether the host was left in between.
    .PARAMETER Record
    The undo record: a new one with State done, or the one of the change that is taken back with State undone.
    .PARAMETER Apply
    Makes the change and throws if it did not take effect.
    .PARAMETER Restore
    Puts back what Apply found; throws if that fails.
    #>
    param (
        [Parameter(Mandatory = $true)][System.Collections.IDictionary]$Record,
        [Parameter(Mandatory = $true)][ValidateSet('done', 'undone')][string]$State,
        [Parameter(Mandatory = $true)][scriptblock]$Apply,
        [Parameter(Mandatory = $true)][scriptblock]$Restore
    )

    $id = $Record['change_id']
    $former = $Record['state']
    if ($State -eq 'done') { Save-ScepUndoRecord -Record $Record }
    try {
        $null = & $Apply
        $Record['state'] = $State
        Save-ScepUndoRecord -Record $Record
        return
    }
    catch {
        $reason = $_.Exception.GetBaseException().Message
    }
    $Record['state'] = $former
    try {
        $null = & $Restore
    }
    catch {
        return [PSCustomObject]@{
            HalfDone = $true
            Message = "The change failed: $reason Putting back what had been done failed too " +
                "($($_.Exception.GetBaseException().Message)): when that is mended, undo $id."
        }
    }
    $message = "The change failed: $reason The host is as it was."
    # The record is needed only where the host is not as it was.
    if ($State -eq 'done') {
        try { Remove-ScepUndoRecord -ChangeId $id }
        catch { $message += " The undo record $id of no change is left: $($_.Exception.GetBaseException().Message)" }
    }
    [PSCustomObject]@{ HalfDone = $false; Message = $message }
}

Function Get-ScepUndoStep {
    <#
    .SYNOPSIS
    What is to be done to take a change back: Restore (whether anything), Mark (whether the record), and Differences:
    sentences that say how the host is no longer as the change left it.
    #>
    param (
        [Parameter(Mandatory = $true)][System.Collections.IDictionary]$Record,
        [Parameter(Mandatory = $true)][System.Collections.IDictionary]$Current
    )

    # What became of the setting since it was undone is no longer this change's.
    if ($Record['state'] -eq 'undone') {
        return [PSCustomObject]@{ Restore = $false; Mark = $false; Differences = @() }
    }
    # Undone by hand, or interrupted before it was done.
    if (@(Compare-ScepState -Expected $Record['before'] -Actual $Current).Count -eq 0) {
        return [PSCustomObject]@{ Restore = $false; Mark = $true; Differences = @() }
    }
    $differences = @(Compare-ScepState -Expected $Record['after'] -Actual $Current)
    [PSCustomObject]@{ Restore = $differences.Count -eq 0; Mark = $differences.Count -eq 0; Differences = $differences }
}

Export-ModuleMember -Function Get-ScepUndoStep, Invoke-ScepChange
