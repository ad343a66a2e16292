# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -PowerShell ._Proxy

function ConvertTo-EndpointParameter {
    <#
    .SYNOPSIS
    The options that say how SCEP services are asked, as parameters of Get-ScepEndpoint. Throws a sentence that names the option.
    .PARAMETER Option
    The options of the module endpoint_info, by name.
    #>
    param ([Parameter(Mandatory = $true)][System.Collections.IDictionary]$Option)

    foreach ($name in 'chain_timeout', 'connect_timeout', 'timeout') {
        $seconds = $Option[$name]
        if (-not ($seconds -gt 0 -and $seconds -le 300)) {
            throw ("${name}: $seconds is not possible; it has to be more than 0 and at most 300 seconds")
        }
    }
    if (-not ($Option.max_clock_skew -gt 0)) {
        throw ("max_clock_skew: $($Option.max_clock_skew) is not possible; it has to be more than 0 seconds")
    }
    # The clients' settings repeat each other.
    $urls = [string[]]@($Option.urls | Select-Object -Unique)
    if ($urls.Count -gt 100) {
        throw ("urls: $($urls.Count) different URLs are too many; give at most 100 at a time")
    }
    Assert-ProxyOption -Proxy $Option.proxy
    $expected = [string[]]@(foreach ($issuer in $Option.expected_issuers) {
            $digits = $issuer -replace '[:\s]', ''
            if ($digits -match '\A[0-9A-Fa-f]{64}\z') { $digits.ToLowerInvariant() }
            elseif ($issuer.Contains('=')) { $issuer }
            else {
                throw (
                    "expected_issuers: '$issuer' is neither a SHA-256 fingerprint (64 hex digits) nor a distinguished name, " +
                    "such as 'CN=Issuing CA 1, O=Example'")
            }
        })

    @{
        Url = $urls
        Timeout = $Option.timeout
        ConnectTimeout = $Option.connect_timeout
        ChainTimeout = $Option.chain_timeout
        CheckRevocation = $Option.check_revocation
        Proxy = $Option.proxy
        ExpectedIssuer = $expected
        MaxClockSkew = $Option.max_clock_skew
    }
}

Export-ModuleMember -Function ConvertTo-EndpointParameter
