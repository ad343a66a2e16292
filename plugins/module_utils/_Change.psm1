# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -PowerShell ._Undo

# The frame of a module that changes a host: its result, its refusals, and the change itself with its undo record around it,
# after which the host is in the state before or in the one after. What goes wrong is thrown as a sentence; the module
# catches it in one place, at its end, and gives it to Exit-ScepChange.
# Module is the AnsibleModule everywhere, of which Result, Diff, DiffMode and FailJson are used.

Function Initialize-ScepChangeResult {
    <#
    .SYNOPSIS
    Puts what each changing module returns into its result: nothing changed so far.
    #>
    param ([Parameter(Mandatory = $true)]$Module)

    $Module.Result.changed = $false
    foreach ($name in 'change_id', 'before', 'after', 'undo') { $Module.Result[$name] = $null }
}

Function New-ScepRefusal {
    <#
    .SYNOPSIS
    A refusal: Reason (a word) and Message (a sentence that says what is missing).
    #>
    param ([string]$Reason, [string]$Message)

    [PSCustomObject]@{ Reason = $Reason; Message = $Message }
}

Function Deny-ScepChange {
    <#
    .SYNOPSIS
    Refuses the change: puts refused and reason into the result, and throws the sentence.
    #>
    param (
        [Parameter(Mandatory = $true)]$Module,
        [Parameter(Mandatory = $true)][string]$Reason,
        [Parameter(Mandatory = $true)][string]$Message
    )

    $Module.Result.refused = $true
    $Module.Result.reason = $Reason
    throw "Refused, nothing was changed. $Message"
}

Function Assert-ScepNoRefusal {
    <#
    .SYNOPSIS
    Refuses the change if there is a refusal, and puts all of them into the result, as refusals.
    .PARAMETER Refusal
    Objects with Reason and Message, the most important one first.
    #>
    param ([Parameter(Mandatory = $true)]$Module, [AllowEmptyCollection()][object[]]$Refusal)

    if ($Refusal.Count -eq 0) { return }
    $Module.Result.refusals = @(foreach ($one in $Refusal) { [ordered]@{ reason = $one.Reason; message = $one.Message } })
    Deny-ScepChange -Module $Module -Reason $Refusal[0].Reason -Message ($Refusal.Message -join ' ')
}

Function Set-ScepOutcome {
    <#
    .SYNOPSIS
    Puts what will be done, or would be in check mode, into the result, and into the diff where one is wanted.
    .PARAMETER Before
    The state that was found, as results and undo records have it; After is the wanted one in the same form.
    .PARAMETER DiffBefore
    Before as text, lines that end with a line feed; DiffAfter likewise.
    #>
    param (
        [Parameter(Mandatory = $true)]$Module,
        [Parameter(Mandatory = $true)][bool]$Changed,
        $Before,
        $After,
        [string]$DiffBefore,
        [string]$DiffAfter
    )

    $Module.Result.changed = $Changed
    $Module.Result.before = $Before
    $Module.Result.after = $After
    if ($Module.DiffMode) {
        $Module.Diff.before = $DiffBefore
        $Module.Diff.after = $DiffAfter
    }
}

Function Invoke-ScepChange {
    <#
    .SYNOPSIS
    Does a change, or takes one back, and marks its record. Throws a sentence if it can't be done.
    .DESCRIPTION
    Where the result says changed, and where the host was left in between, change_id and undo get into the result.
    .PARAMETER Record
    The undo record: a new one with State done, or the one of the change that is taken back with State undone.
    .PARAMETER Apply
    Makes the change and throws if it did not take effect.
    .PARAMETER Restore
    Puts back what Apply found; throws if that fails.
    #>
    param (
        [Parameter(Mandatory = $true)]$Module,
        [Parameter(Mandatory = $true)][System.Collections.IDictionary]$Record,
        [Parameter(Mandatory = $true)][ValidateSet('done', 'undone')][string]$State,
        [Parameter(Mandatory = $true)][scriptblock]$Apply,
        [Parameter(Mandatory = $true)][scriptblock]$Restore
    )

    $id = $Record['change_id']
    $former = $Record['state']
    if ($State -eq 'done') { Save-ScepUndoRecord -Record $Record }
    $reason = $null
    try {
        $null = & $Apply
        $Record['state'] = $State
        Save-ScepUndoRecord -Record $Record
    }
    catch {
        $reason = $_.Exception.GetBaseException().Message
    }
    if ($null -eq $reason) {
        if ($Module.Result.changed) {
            $Module.Result.change_id = $id
            $Module.Result.undo = $Record
        }
        return
    }
    $Record['state'] = $former
    try {
        $null = & $Restore
    }
    catch {
        $Module.Result.change_id = $id
        $Module.Result.undo = $Record
        throw ("The change failed: $reason Putting back what had been done failed too " +
            "($($_.Exception.GetBaseException().Message)): when that is mended, undo $id.")
    }
    $message = "The change failed: $reason The host is as it was."
    # The record is needed only where the host is not as it was.
    if ($State -eq 'done') {
        try { Remove-ScepUndoRecord -ChangeId $id }
        catch { $message += " The undo record $id of no change is left: $($_.Exception.GetBaseException().Message)" }
    }
    throw $message
}

Function Get-ScepUndoStep {
    <#
    .SYNOPSIS
    What is to be done to take a change back: Target (the state to bring the host to), Mark (whether the record is to be
    marked), and Differences: sentences that say how the host is no longer as the change left it.
    #>
    param (
        [Parameter(Mandatory = $true)][System.Collections.IDictionary]$Record,
        [Parameter(Mandatory = $true)][System.Collections.IDictionary]$Current
    )

    $step = [PSCustomObject]@{ Target = $Current; Mark = $false; Differences = @() }
    # What became of the setting since it was undone is no longer this change's.
    if ($Record['state'] -eq 'undone') { return $step }
    # Undone by hand, or interrupted before it was done.
    if (@(Compare-ScepState -Expected $Record['before'] -Actual $Current).Count -eq 0) {
        $step.Mark = $true
        return $step
    }
    $step.Differences = @(Compare-ScepState -Expected $Record['after'] -Actual $Current)
    if ($step.Differences.Count -eq 0) {
        $step.Target = $Record['before']
        $step.Mark = $true
    }
    $step
}

Function Exit-ScepChange {
    <#
    .SYNOPSIS
    Ends the module with what went wrong. It has changed the host only if there is something that can be undone.
    #>
    param (
        [Parameter(Mandatory = $true)]$Module,
        [Parameter(Mandatory = $true)][System.Management.Automation.ErrorRecord]$ErrorRecord
    )

    $Module.Result.changed = $null -ne $Module.Result.undo
    $Module.Result.after = $null
    $Module.FailJson($ErrorRecord.Exception.Message, $ErrorRecord)
}

$export = @{
    Function = @(
        'Assert-ScepNoRefusal', 'Deny-ScepChange', 'Exit-ScepChange', 'Get-ScepUndoStep', 'Initialize-ScepChangeResult',
        'Invoke-ScepChange', 'New-ScepRefusal', 'Set-ScepOutcome'
    )
}
Export-ModuleMember @export
