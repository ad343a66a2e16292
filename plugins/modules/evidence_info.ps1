#!powershell

# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic
#AnsibleRequires -PowerShell ..module_utils._Aik
#AnsibleRequires -PowerShell ..module_utils._Endpoint
#AnsibleRequires -PowerShell ..module_utils._EndpointOption
#AnsibleRequires -PowerShell ..module_utils._Profile

$spec = @{
    options = @{
        chain_timeout = @{ type = 'float'; default = 30.0 }
        check_revocation = @{ type = 'bool'; default = $true }
        connect_timeout = @{ type = 'float'; default = 5.0 }
        expected_issuers = @{ type = 'list'; elements = 'str'; default = @() }
        files = @{ type = 'list'; elements = 'path'; default = @() }
        max_clock_skew = @{ type = 'float'; default = 120.0 }
        proxy = @{ type = 'str'; default = 'winhttp' }
        registry_values = @{
            type = 'list'; elements = 'dict'; default = @()
            options = @{
                name = @{ type = 'str'; required = $true }
                path = @{ type = 'str'; required = $true }
            }
        }
        timeout = @{ type = 'float'; default = 15.0 }
        urls = @{ type = 'list'; elements = 'str'; required = $true }
    }
    supports_check_mode = $true
}

$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

$module.Result.changed = $false
$module.Result.evidence = $null
$module.Result.notes = @()

try {
    $parameters = ConvertTo-EndpointParameter -Option $module.Params
} catch {
    $module.FailJson($_.Exception.Message)
}

$endpoints = [object[]]@(if ($parameters.Url.Count -gt 0) { Get-ScepEndpoint @parameters })
$notes = New-Object -TypeName System.Collections.Generic.List[string]
$profiles = [object[]]@(
    Get-ScepProfile -RegistryValue $module.Params.registry_values -File $module.Params.files -Note $notes
)
# The TPM is of interest to those alone whose enrolment with the AIK service failed.
$services = [string[]]@(foreach ($endpoint in $endpoints) { if ($endpoint.kind -eq 'aik') { $endpoint.host } })
$attestation = $null
if ($services.Count -gt 0) { $attestation = Get-ScepAik -HostName $services[0] }

$module.Result.evidence = [ordered]@{ endpoints = $endpoints; profiles = $profiles; aik = $attestation }
$module.Result.notes = [object[]]@($notes)

$module.ExitJson()
