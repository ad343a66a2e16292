#!powershell

# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic
#AnsibleRequires -PowerShell ..module_utils._Endpoint
#AnsibleRequires -PowerShell ..module_utils._EndpointOption

$spec = @{
    options = @{
        chain_timeout = @{ type = 'float'; default = 30.0 }
        check_revocation = @{ type = 'bool'; default = $true }
        connect_timeout = @{ type = 'float'; default = 5.0 }
        expected_issuers = @{ type = 'list'; elements = 'str'; default = @() }
        max_clock_skew = @{ type = 'float'; default = 120.0 }
        proxy = @{ type = 'str'; default = 'winhttp' }
        timeout = @{ type = 'float'; default = 15.0 }
        urls = @{ type = 'list'; elements = 'str'; required = $true }
    }
    supports_check_mode = $true
}

$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

# Always returned, even in a failure.
$module.Result.endpoints = @()

try {
    $parameters = ConvertTo-EndpointParameter -Option $module.Params
} catch {
    $module.FailJson($_.Exception.Message)
}
$module.Result.endpoints = [object[]]@(Get-ScepEndpoint @parameters)

$module.ExitJson()
