# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The scheduled task that enrols the AIK certificate, through the Task Scheduler's own objects.

$script:AikTaskFolder = '\Microsoft\Windows\CertificateServicesClient'
$script:AikTaskName = 'AikCertEnrollTask'
$script:AikTaskStates = @('unknown', 'disabled', 'queued', 'ready', 'running')

Function ConvertTo-TaskTime {
    <#
    .SYNOPSIS
    A time of the Task Scheduler in UTC, ISO 8601. It has no zone and is local; 1899 and 1999 stand for "never".
    #>
    param ([AllowNull()]$Time)

    if ($Time -isnot [DateTime] -or $Time.Year -lt 2000) { return $null }
    $utc = [DateTime]::SpecifyKind($Time, [DateTimeKind]::Local).ToUniversalTime()
    $utc.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", [System.Globalization.CultureInfo]::InvariantCulture)
}

Function Get-TaskProblem {
    <#
    .SYNOPSIS
    The word and the sentence for what the Task Scheduler answers: its messages are in the system's language.
    #>
    param ([int]$HResult)

    $path = "$($script:AikTaskFolder)\$($script:AikTaskName)"
    $code = '0x{0:x8}' -f $HResult
    switch ($code) {
        { $_ -in @('0x80070002', '0x80070003') } {
            return 'no_such_task', "This host has no task ${path}: its edition of Windows may not have it, or it was deleted."
        }
        '0x80070005' {
            return 'access_denied', ("Windows denies access to the task $path, or to the Task Scheduler: an account with " +
                'administrator rights is needed.')
        }
        '0x80041315' {
            return 'task_service_stopped', 'The Task Scheduler does not run on this host: start the service Schedule.'
        }
        '0x80041326' {
            return 'task_disabled', ("The task $path is disabled, so it can't be started: if it shall enrol, enable it first, " +
                'and see why it was disabled.')
        }
        '0x80041328' {
            return 'no_demand_start', ("The task $path is set so that nobody can start it on demand: wait for Windows to " +
                'start it, or change that setting.')
        }
    }
    'task_service_error', ("The Task Scheduler can't be asked for the task $path (error $code): look at the service " +
        'Schedule on this host.')
}

Function Get-ScepAikTask {
    <#
    .SYNOPSIS
    The task: Fact (what is returned to users), Task (its object, or null), Reason and Message where it can't be had.
    #>
    $fact = [ordered]@{
        path = "$($script:AikTaskFolder)\$($script:AikTaskName)"
        exists = $null; enabled = $null; state = $null
        last_run_time = $null; last_result = $null; next_run_time = $null; missed_runs = $null
    }
    $found = [PSCustomObject]@{ Fact = $fact; Task = $null; Reason = $null; Message = $null }
    try {
        $service = New-Object -ComObject Schedule.Service
        $null = $service.Connect()
        $task = $service.GetFolder($script:AikTaskFolder).GetTask($script:AikTaskName)
        # A property that can't be read is null, without an error.
        $enabled = $task.Enabled
    }
    catch {
        $found.Reason, $found.Message = Get-TaskProblem -HResult $_.Exception.GetBaseException().HResult
        if ($found.Reason -eq 'no_such_task') { $fact.exists = $false }
        return $found
    }
    $fact.exists = $true
    if ($enabled -isnot [bool]) {
        $found.Reason = 'access_denied'
        $found.Message = "Windows does not say whether the task $($fact.path) is enabled: an account with administrator " +
            'rights is needed.'
        return $found
    }
    $found.Task = $task
    $fact.enabled = $enabled
    $state = $task.State
    if ($null -ne $state -and $state -in 0..4) { $fact.state = $script:AikTaskStates[$state] }
    $fact.last_run_time = ConvertTo-TaskTime -Time $task.LastRunTime
    # SCHED_S_TASK_HAS_NOT_RUN is no result.
    $result = $task.LastTaskResult
    if ($null -ne $result -and $result -ne 0x41303) { $fact.last_result = '0x{0:x8}' -f [int]$result }
    $fact.next_run_time = ConvertTo-TaskTime -Time $task.NextRunTime
    $fact.missed_runs = $task.NumberOfMissedRuns
    $found
}

Function Set-ScepAikTask {
    <#
    .SYNOPSIS
    Enables or disables the task, and throws a sentence if that did not take effect.
    #>
    param ([Parameter(Mandatory = $true)][bool]$Enabled)

    $found = Get-ScepAikTask
    if ($found.Reason) { throw $found.Message }
    if ($found.Fact.enabled -eq $Enabled) { return }
    try {
        $found.Task.Enabled = $Enabled
    }
    catch {
        $null, $message = Get-TaskProblem -HResult $_.Exception.GetBaseException().HResult
        throw $message
    }
    $now = Get-ScepAikTask
    if ($now.Reason) { throw $now.Message }
    if ($now.Fact.enabled -ne $Enabled) {
        throw ("The Task Scheduler took the change of the task $($now.Fact.path), but did not keep it: something else " +
            'manages this task.')
    }
}

Function Start-ScepAikTask {
    <#
    .SYNOPSIS
    Runs the task once now: Started, Running (it runs already, so it was not started again), and Reason and Message where
    it can't be started.
    .PARAMETER DryRun
    Only look whether it could be started.
    #>
    param ([switch]$DryRun)

    $found = Get-ScepAikTask
    $outcome = [PSCustomObject]@{ Started = $false; Running = $false; Reason = $found.Reason; Message = $found.Message }
    if ($found.Reason) { return $outcome }
    try {
        # Run has no error for a task that may not be started on demand, nor RunEx for a disabled one.
        if (-not $found.Fact.enabled) { $outcome.Reason, $outcome.Message = Get-TaskProblem -HResult 0x80041326 }
        elseif ($found.Task.Definition.Settings.AllowDemandStart -eq $false) {
            $outcome.Reason, $outcome.Message = Get-TaskProblem -HResult 0x80041328
        }
        elseif ($found.Fact.state -in @('queued', 'running')) { $outcome.Running = $true }
        elseif (-not $DryRun) {
            $null = $found.Task.Run($null)
            $outcome.Started = $true
        }
    }
    catch {
        $outcome.Reason, $outcome.Message = Get-TaskProblem -HResult $_.Exception.GetBaseException().HResult
    }
    $outcome
}

Export-ModuleMember -Function Get-ScepAikTask, Set-ScepAikTask, Start-ScepAikTask
