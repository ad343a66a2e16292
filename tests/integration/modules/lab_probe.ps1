# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

# For tests of the lab only: gives back what it was given, and where it ran.
$spec = @{
    options = @{
        bytes = @{ type = 'int'; default = 0 }
        seconds = @{ type = 'int'; default = 0 }
        text = @{ type = 'str'; default = '' }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)
Start-Sleep -Seconds $module.Params.seconds
$module.Result.text = $module.Params.text
$module.Result.length = $module.Params.text.Length
$module.Result.filling = 'x' * $module.Params.bytes
$module.Result.check_mode = $module.CheckMode
$module.Result.computer = [Environment]::MachineName
$module.Result.utc = [DateTime]::UtcNow.ToString('o')
$module.Result.offset_hours = [TimeZoneInfo]::Local.GetUtcOffset([DateTime]::UtcNow).TotalHours
$module.ExitJson()
