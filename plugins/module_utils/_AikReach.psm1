# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -PowerShell ._Certificate
#AnsibleRequires -PowerShell ._Endpoint

# Whether this host reaches Microsoft's AIK service, as its own enrolment would.

$script:AikUrl = [regex]::new(
    '\A(?:https://)?(?<host>[a-z0-9]{1,8}-keyid-[0-9a-f]{40}\.microsoftaik\.azure\.net)\.?' +
    '(?::(?<port>[0-9]{1,5}))?(?<path>/[^\s#]*)?\z', 'IgnoreCase, CultureInvariant')
$script:AikPath = '/templates/Aik/scep'

Function ConvertTo-ScepAikUrl {
    <#
    .SYNOPSIS
    URLs and host names of the AIK service as URLs, one for each host and port. Throws a sentence that names the option.
    .PARAMETER Url
    What the operator named.
    .PARAMETER HostName
    What the TPM leads to; named already or not.
    #>
    param ([AllowEmptyCollection()][AllowEmptyString()][string[]]$Url = @(), [AllowEmptyCollection()][string[]]$HostName = @())

    $seen = @{}
    $number = 0
    foreach ($entry in @($Url) + @($HostName)) {
        $number++
        $found = $script:AikUrl.Match($entry)
        if (-not $found.Success) {
            throw ("urls entry ${number}: '$(ConvertTo-ScepPrintable -Text $entry)' is not a URL or host name of the AIK " +
                'service: it has the form https://VENDOR-KeyId-<40 hex digits>.microsoftaik.azure.net/templates/Aik/scep')
        }
        $port = $(if ($found.Groups['port'].Success) { $found.Groups['port'].Value } else { '443' })
        $key = '{0}:{1}' -f $found.Groups['host'].Value.ToLowerInvariant(), $port
        if ($seen.ContainsKey($key)) { continue }
        $seen[$key] = $true
        $authority = $found.Groups['host'].Value
        if ($port -ne '443') { $authority += ":$port" }
        $path = $(if ($found.Groups['path'].Success) { $found.Groups['path'].Value } else { $script:AikPath })
        "https://$authority$path"
    }
}

Function Get-ReachVerdict {
    <#
    .SYNOPSIS
    True if the service answered, false if nothing did, null if that is not sure.
    #>
    param ([System.Collections.IDictionary]$Endpoint)

    $tls = @($Endpoint['steps'] | Where-Object -FilterScript { $_['step'] -eq 'tls' -and $_['ok'] }).Count -gt 0
    if ($Endpoint['ok'] -or $tls -or $null -ne $Endpoint['http']) { return $true }
    # A proxy that a script or the network would have named was not tried.
    if ($Endpoint['proxy'].Contains('script') -or $Endpoint['proxy'].Contains('problem')) { return $null }
    if ($Endpoint['failed_step'] -in @('dns', 'connect')) { return $false }
    if ($Endpoint['failure'] -in @('proxy_unreachable', 'proxy_refused')) { return $false }
    # Something answered, and it was not the service: inspection, a portal, a firewall, or the service with a wrong clock.
    $null
}

Function Get-ScepAikReach {
    <#
    .SYNOPSIS
    For each URL {url, host, reached (true, false, null if that is not sure), failed_step, failure, detail}.
    #>
    param (
        [Parameter(Mandatory = $true)][string[]]$Url,
        [Parameter(Mandatory = $true)][double]$Timeout
    )

    # As the system's own enrolment would: no other proxy than WinHTTP's, or the answer would be about somebody else.
    # Whether a certificate is revoked does not matter for whether something is reached.
    $probe = @{
        Url = $Url; Timeout = $Timeout; ConnectTimeout = [Math]::Min(5.0, $Timeout); Proxy = 'winhttp'; CheckRevocation = $false
    }
    foreach ($endpoint in @(Get-ScepEndpoint @probe)) {
        $reached = Get-ReachVerdict -Endpoint $endpoint
        $detail = $endpoint['detail']
        if ($null -eq $reached -and $endpoint['proxy'].Contains('script')) {
            $detail += ' WinHTTP has a proxy configuration script, which the probe does not run.'
        }
        elseif ($null -eq $reached -and $endpoint['proxy'].Contains('problem')) {
            $detail += " This host's proxy settings: $($endpoint['proxy']['problem'])."
        }
        [ordered]@{
            url = $endpoint['url']
            host = $endpoint['host']
            reached = $reached
            failed_step = $endpoint['failed_step']
            failure = $endpoint['failure']
            detail = $detail
        }
    }
}

Export-ModuleMember -Function ConvertTo-ScepAikUrl, Get-ScepAikReach
