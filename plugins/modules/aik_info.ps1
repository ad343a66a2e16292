#!powershell

# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic
#AnsibleRequires -PowerShell ..module_utils._Aik
#AnsibleRequires -PowerShell ..module_utils._Certificate
#AnsibleRequires -PowerShell ..module_utils._ScepUrl

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

$module.Result.aik = Get-ScepAik -HostName $hostName

$module.ExitJson()
