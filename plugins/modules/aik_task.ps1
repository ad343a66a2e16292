#!powershell

# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic
#AnsibleRequires -PowerShell ..module_utils._Aik
#AnsibleRequires -PowerShell ..module_utils._AikReach
#AnsibleRequires -PowerShell ..module_utils._AikTask
#AnsibleRequires -PowerShell ..module_utils._Change
#AnsibleRequires -PowerShell ..module_utils._Undo

$spec = @{
    options = @{
        force = @{ type = 'bool'; default = $false }
        isolated_network = @{ type = 'bool'; default = $false }
        role = @{ type = 'str' }
        state = @{ type = 'str'; choices = @('disabled', 'enabled', 'started') }
        timeout = @{ type = 'float'; default = 15.0 }
        undo = @{ type = 'str' }
        urls = @{ type = 'list'; elements = 'str' }
    }
    mutually_exclusive = @(
        , @('state', 'undo')
        , @('undo', 'urls')
    )
    required_one_of = @(
        , @('state', 'undo')
    )
    supports_check_mode = $true
}

$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

$force = $module.Params.force
$isolatedNetwork = $module.Params.isolated_network
$role = $module.Params.role
$state = $module.Params.state
$timeout = $module.Params.timeout
$undo = $module.Params.undo
$urls = [string[]]@($module.Params.urls | Where-Object -FilterScript { $null -ne $_ })

Initialize-ScepChangeResult -Module $module
$module.Result.probes = @()
$module.Result.had_success = $null
$module.Result.enrollment = $null

Function Assert-Option {
    if (-not ($timeout -gt 0 -and $timeout -le 300)) {
        throw "timeout: $timeout is not possible; it has to be more than 0 and at most 300 seconds."
    }
    if ($urls.Count -gt 20) { throw "urls: $($urls.Count) are too many; give at most 20." }
    if ($state -ne 'started') { return }
    foreach ($name in 'force', 'isolated_network', 'urls') {
        if ($module.Params[$name]) { throw "$($name): it is for disabling the task; leave it out with state=started." }
    }
}

Function Get-TaskState {
    <#
    .SYNOPSIS
    The task as it stands in results and undo records.
    #>
    $found = Get-ScepAikTask
    if ($found.Reason) { Assert-ScepNoRefusal -Module $module -Refusal @(New-ScepRefusal -Reason $found.Reason -Message $found.Message) }
    [ordered]@{ task = $found.Fact.path; enabled = $found.Fact.enabled }
}

Function Get-ReachRefusal {
    <#
    .SYNOPSIS
    Probes the service by each name that is known, and says what speaks against an isolated network.
    #>
    param ([AllowEmptyCollection()][string[]]$Url, [System.Collections.Generic.List[string]]$Note)

    if ($Url.Count -eq 0) {
        $why = $(if ($Note.Count -gt 0) { " $($Note -join ' ')" } else { '' })
        return New-ScepRefusal -Reason 'no_probe_target' -Message (
            'No AIK service is known that could be probed: name it in urls, as it stands in the event, because no host name ' +
            "follows from an endorsement key certificate of this TPM.$why")
    }
    $probes = @(Get-ScepAikReach -Url $Url -Timeout $timeout)
    $module.Result.probes = [object[]]$probes
    foreach ($probe in $probes) {
        if ($probe.reached) {
            New-ScepRefusal -Reason 'aik_service_reached' -Message (
                "This host reaches the AIK service $($probe.host), so its network is not isolated, and the failures have " +
                "another cause: leave the task enabled. $($probe.detail)".TrimEnd())
        }
        elseif ($null -eq $probe.reached -and -not $force) {
            New-ScepRefusal -Reason 'aik_service_uncertain' -Message (
                "It is not sure that this host can't reach the AIK service $($probe.host): $($probe.detail) Mend that first, " +
                'or set force if the network is isolated nevertheless.')
        }
    }
}

Function Get-DisableRefusal {
    $notes = New-Object -TypeName System.Collections.Generic.List[string]
    $tpm = Get-ScepTpm -Note $notes
    $endorsementKey = Get-ScepEndorsementKey -Tpm $tpm -Note $notes
    $targets = @(ConvertTo-ScepAikUrl -Url $urls -HostName @(Get-ScepAikHostName -EndorsementKey $endorsementKey))

    $stateNotes = New-Object -TypeName System.Collections.Generic.List[string]
    $aik = Get-ScepAikState -Note $stateNotes
    $history = Get-ScepAikHistory -Tpm $tpm -State $aik -Note $stateNotes
    $module.Result.had_success = $history.HadSuccess
    if ($history.HadSuccess -and -not $force) {
        New-ScepRefusal -Reason 'aik_certificate_had' -Message (
            "This host has had an AIK certificate, so it was not always isolated, and something may use it: " +
            "$($history.Reason) Set force if it has been moved to an isolated network for good.")
    }
    elseif ($null -eq $history.HadSuccess -and $null -ne $aik['windows_aik_hash'] -and -not $force) {
        # A success leaves an event 88 only at a raised log level, and ErrorCode is that of the last attempt alone.
        New-ScepRefusal -Reason 'aik_may_be_in_use' -Message (
            "An AIK certificate may be in use on this host, and would not be renewed any more: $($history.Reason) Set force if " +
            'nothing on it needs one.')
    }
    Get-ReachRefusal -Url $targets -Note $notes
}

Function ConvertTo-DiffText {
    param ([System.Collections.IDictionary]$State)

    '{0}: {1}{2}' -f $State['task'], $(if ($State['enabled']) { 'enabled' } else { 'disabled' }), "`n"
}

Function Set-Outcome {
    param ([System.Collections.IDictionary]$Before, [System.Collections.IDictionary]$After)

    $outcome = @{
        Changed = $Before['enabled'] -ne $After['enabled']
        Before = $Before
        After = $After
        DiffBefore = ConvertTo-DiffText -State $Before
        DiffAfter = ConvertTo-DiffText -State $After
    }
    Set-ScepOutcome -Module $module @outcome
}

Function Invoke-TaskChange {
    param ([System.Collections.IDictionary]$Record, [string]$State, $Before, $After)

    $change = @{
        Record = $Record
        State = $State
        Apply = { Set-ScepAikTask -Enabled $After['enabled'] }
        Restore = { Set-ScepAikTask -Enabled $Before['enabled'] }
    }
    Invoke-ScepChange -Module $module @change
}

Function Set-Task {
    Assert-Option
    $null = ConvertTo-ScepAikUrl -Url $urls
    if ($state -eq 'disabled' -and -not $isolatedNetwork) {
        Assert-ScepNoRefusal -Module $module -Refusal @(New-ScepRefusal -Reason 'isolated_network_not_declared' -Message (
                'The task is disabled only where isolated_network is true: set it if this host has no internet access by ' +
                'design, and nothing on it needs an AIK certificate.'))
    }
    $before = Get-TaskState
    $after = [ordered]@{ task = $before['task']; enabled = $state -eq 'enabled' }
    # What is disabled already needs no reason.
    if ($before['enabled'] -and -not $after['enabled']) { Assert-ScepNoRefusal -Module $module -Refusal @(Get-DisableRefusal) }
    Set-Outcome -Before $before -After $after
    if ($module.CheckMode -or -not $module.Result.changed) { return }

    $record = New-ScepUndoRecord -Module 'aik_task' -Role $role -Before $before -After $after
    Invoke-TaskChange -Record $record -State 'done' -Before $before -After $after
}

Function Start-Task {
    Assert-Option
    $task = Get-TaskState
    $run = Start-ScepAikTask -DryRun:$module.CheckMode
    if ($run.Reason) { Assert-ScepNoRefusal -Module $module -Refusal @(New-ScepRefusal -Reason $run.Reason -Message $run.Message) }
    Set-Outcome -Before $task -After $task
    $module.Result.changed = -not $run.Running
    $detail = 'The task was started.'
    if ($run.Running) { $detail = 'The task runs already, so it was not started again.' }
    elseif (-not $run.Started) { $detail = 'In check mode the task is not started.' }
    $module.Result.enrollment = [ordered]@{ started = $run.Started; detail = $detail }
}

Function Undo-Change {
    $record = Get-ScepUndoRecord -ChangeId $undo -Module 'aik_task'
    $current = Get-TaskState
    $step = Get-ScepUndoStep -Record $record -Current $current
    if ($step.Differences.Count -gt 0) {
        Assert-ScepNoRefusal -Module $module -Refusal @(New-ScepRefusal -Reason 'changed_since' -Message (
                "The task is not as the change $undo left it: $($step.Differences -join ' ') Set it with state."))
    }
    Set-Outcome -Before $current -After $step.Target
    if ($module.CheckMode -or -not $step.Mark) { return }

    Invoke-TaskChange -Record $record -State 'undone' -Before $current -After $step.Target
}

try {
    if ($null -ne $undo) { Undo-Change }
    elseif ($state -eq 'started') { Start-Task }
    else { Set-Task }
}
catch {
    Exit-ScepChange -Module $module -ErrorRecord $_
}
$module.ExitJson()
