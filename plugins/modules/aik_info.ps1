#!powershell

# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic
#AnsibleRequires -PowerShell ..module_utils._Aik
#AnsibleRequires -PowerShell ..module_utils._AikTask
#AnsibleRequires -PowerShell ..module_utils._Certificate

$spec = @{
    options = @{
        host_name = @{ type = 'str' }
    }
    supports_check_mode = $true
}

$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

$hostName = $module.Params.host_name

$module.Result.changed = $false
$module.Result.aik = $null

if ($hostName -and -not (Test-ScepAikHostName -Name $hostName)) {
    $module.FailJson(
        "host_name: '$(ConvertTo-ScepPrintable -Text $hostName)' is not the name of an AIK service, as it stands in an event: " +
        'it has the form VENDOR-KeyId-<40 hex digits>.microsoftaik.azure.net')
}

# What can't be read is a note and no failure: evidence is taken from whatever there is.
$notes = New-Object -TypeName System.Collections.Generic.List[string]
$tpm = Get-ScepTpm -Note $notes
$endorsementKey = Get-ScepEndorsementKey -Tpm $tpm -Note $notes
$names = @(Get-ScepAikHostName -EndorsementKey $endorsementKey)
$state = Get-ScepAikState -Note $notes
$history = Get-ScepAikHistory -Tpm $tpm -State $state
$task = Get-ScepAikTask
if ($task.Message) { $notes.Add($task.Message) }

$matching = $null
if ($hostName -and $names.Count -gt 0) { $matching = $names -contains $hostName.TrimEnd('.') }

$module.Result.aik = [ordered]@{
    tpm = $tpm
    endorsement_key = $endorsementKey
    host_name = $(if ($names.Count -gt 0) { $names[0] } else { $null })
    host_names = [object[]]$names
    matches = $matching
    state = $state
    had_success = $history.HadSuccess
    had_success_reason = $history.Reason
    task = $task.Fact
    notes = [object[]]$notes.ToArray()
}

$module.ExitJson()
