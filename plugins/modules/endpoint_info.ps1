#!powershell

# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic
#AnsibleRequires -PowerShell ..module_utils._Endpoint
#AnsibleRequires -PowerShell ..module_utils._Proxy

$spec = @{
    options = @{
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

foreach ($name in 'connect_timeout', 'timeout') {
    $seconds = $module.Params[$name]
    if (-not ($seconds -gt 0 -and $seconds -le 300)) {
        $module.FailJson("${name}: $seconds is not possible; it has to be more than 0 and at most 300 seconds")
    }
}
if (-not ($module.Params.max_clock_skew -gt 0)) {
    $module.FailJson("max_clock_skew: $($module.Params.max_clock_skew) is not possible; it has to be more than 0 seconds")
}
# The clients' settings repeat each other.
$urls = [string[]]@($module.Params.urls | Select-Object -Unique)
if ($urls.Count -gt 100) {
    $module.FailJson("urls: $($urls.Count) different URLs are too many; give at most 100 at a time")
}
$proxy = $module.Params.proxy
if ($proxy -notin @('account', 'none', 'winhttp') -and ($proxy -eq '' -or $null -eq (ConvertTo-ProxyUri -Address $proxy))) {
    $module.FailJson(
        "proxy: '$proxy' is neither winhttp, account or none, nor the address of an HTTP proxy, such as " +
        'http://proxy.example:8080')
}
$expected = [string[]]@(foreach ($issuer in $module.Params.expected_issuers) {
        $digits = $issuer -replace '[:\s]', ''
        if ($digits -match '\A[0-9A-Fa-f]{64}\z') { $digits.ToLowerInvariant() }
        elseif ($issuer.Contains('=')) { $issuer }
        else {
            $module.FailJson(
                "expected_issuers: '$issuer' is neither a SHA-256 fingerprint (64 hex digits) nor a distinguished name, " +
                "such as 'CN=Issuing CA 1, O=Example'")
        }
    })

$parameters = @{
    Url = $urls
    Timeout = $module.Params.timeout
    ConnectTimeout = $module.Params.connect_timeout
    CheckRevocation = $module.Params.check_revocation
    Proxy = $proxy
    ExpectedIssuer = $expected
    MaxClockSkew = $module.Params.max_clock_skew
}
$module.Result.endpoints = [object[]]@(Get-ScepEndpoint @parameters)

$module.ExitJson()
