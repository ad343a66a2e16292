#!powershell

# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic
#AnsibleRequires -PowerShell ..module_utils._Undo

$spec = @{
    options = @{
        change_id = @{ type = 'str' }
        role = @{ type = 'str' }
    }
    supports_check_mode = $true
}

$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

$changeId = $module.Params.change_id
$role = $module.Params.role

$module.Result.changed = $false
$module.Result.records = @()
$module.Result.unreadable = @()

$problem = $null
try {
    # A well-formed id that this host does not have is no error: a rollback asks every host.
    if ($null -ne $changeId) { Assert-ScepUndoId -ChangeId $changeId }
    $records = @(Get-ScepUndoRecord)
}
catch {
    $problem = $_
}
if ($null -ne $problem) {
    $module.FailJson($problem.Exception.Message, $problem)
}

$wanted = @(
    foreach ($record in $records) {
        if ($null -ne $changeId -and $record['change_id'] -cne $changeId) { continue }
        # Whose change a damaged record is of can't be told, so it is always shown.
        if ($record['state'] -ne 'unreadable' -and $null -ne $role -and $record['role'] -cne $role) { continue }
        $record
    }
)
$module.Result.records = @($wanted | Where-Object -FilterScript { $_['state'] -ne 'unreadable' })
$module.Result.unreadable = @(
    foreach ($record in $wanted) {
        if ($record['state'] -eq 'unreadable') {
            $module.Warn($record['error'])
            [ordered]@{ change_id = $record['change_id']; error = $record['error'] }
        }
    }
)

$module.ExitJson()
