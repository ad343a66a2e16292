#!powershell

# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic
#AnsibleRequires -PowerShell ..module_utils._Profile

$spec = @{
    options = @{
        files = @{ type = 'list'; elements = 'path'; default = @() }
        registry_values = @{
            type = 'list'; elements = 'dict'; default = @()
            options = @{
                name = @{ type = 'str'; required = $true }
                path = @{ type = 'str'; required = $true }
            }
        }
    }
    supports_check_mode = $true
}

$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

$module.Result.changed = $false
$module.Result.profiles = @()
$module.Result.notes = @()

$notes = New-Object -TypeName System.Collections.Generic.List[string]
$module.Result.profiles = [object[]]@(
    Get-ScepProfile -RegistryValue $module.Params.registry_values -File $module.Params.files -Note $notes
)
$module.Result.notes = [object[]]@($notes)

$module.ExitJson()
