# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -PowerShell ._Change
#AnsibleRequires -PowerShell ._Endpoint
#AnsibleRequires -PowerShell ._ScepUrl

# When a SCEP URL may change its scheme: the rules, and the proof that a server answers over HTTP as the CA that is expected.
# A refusal is an object with Reason (a word) and Message (a sentence); nothing is emitted where there is none.

# A rule that holds for one URL alone.
Function Get-UrlRefusal {
    param ([string]$Option, $Read)

    if ((Hide-ScepUrlSecret -Url $Read.Url) -cne $Read.Url) {
        return New-ScepRefusal -Reason 'secret_in_url' -Message (
            "$Option has a user name, a password or a challenge in it, which would be kept in the undo record: change it by hand.")
    }
    if ($null -eq $Read.Scheme) {
        return New-ScepRefusal -Reason 'bad_url' -Message (
            "$Option is not a plain URL: it has to be http:// or https://, an ASCII host name (xn-- for others) and a path, without " +
            'user name, fragment or spaces.')
    }
    if ($Read.InAikDomain) {
        return New-ScepRefusal -Reason 'aik_service' -Message "$Option is a URL of Microsoft's AIK service, which there is over HTTPS only."
    }
    if ($Read.IsAdminPage) {
        return New-ScepRefusal -Reason 'admin_page' -Message (
            "$Option leads to mscep_admin, the page that hands out passwords: over HTTP anyone on the way could read them.")
    }
    if ($Read.Kind -ne 'ndes') {
        return New-ScepRefusal -Reason 'not_ndes' -Message "$Option is not a URL of NDES (a path with /certsrv/mscep/), and no other is switched."
    }
    if ($Read.Path -cmatch '[^A-Za-z0-9._~!$&()*+=:@/-]|//') {
        return New-ScepRefusal -Reason 'bad_url' -Message "$Option has escapes or empty parts in its path, so where it leads is not certain."
    }
}

Function Get-ScepSwitchRefusal {
    <#
    .SYNOPSIS
    Why one URL may not take another's place; nothing if it may, as far as the URLs alone say it.
    .PARAMETER From
    What Read-ScepUrl says of the URL that is there.
    .PARAMETER To
    And of the one that is to be there.
    .PARAMETER AllowPort
    The port that the operator allows; 0 for none.
    #>
    param ([Parameter(Mandatory = $true)]$From, [Parameter(Mandatory = $true)]$To, [int]$AllowPort = 0)

    foreach ($pair in @(@('from_url', $From), @('url', $To))) {
        $refusal = Get-UrlRefusal -Option $pair[0] -Read $pair[1]
        if ($null -ne $refusal) { return $refusal }
    }
    if ($From.Scheme -eq $To.Scheme) {
        return New-ScepRefusal -Reason 'not_a_switch' -Message "url and from_url both begin with $($To.Scheme)://: only the scheme is switched."
    }
    if ($From.Host -cne $To.Host -or ($From.Path + $From.Query) -cne ($To.Path + $To.Query)) {
        return New-ScepRefusal -Reason 'not_a_switch' -Message (
            'url and from_url differ in more than the scheme: host, path and query have to be the same, to the letter in path and query.')
    }
    $usual = @{ http = 80; https = 443 }
    if (($From.Port -ne $usual[$From.Scheme] -or $To.Port -ne $usual[$To.Scheme]) -and $To.Port -ne $AllowPort) {
        return New-ScepRefusal -Reason 'port_not_allowed' -Message (
            "from_url has port $($From.Port) and url port $($To.Port): where one is not the scheme's own, set allow_port to $($To.Port) " +
            'if NDES answers there.')
    }
}

Function Switch-ScepUrl {
    <#
    .SYNOPSIS
    A URL with another scheme and port, all else as it is written.
    #>
    param ([Parameter(Mandatory = $true)][string]$Url, [Parameter(Mandatory = $true)]$To)

    $read = Read-ScepUrl -Url $Url
    $name = [regex]::Replace($read.Authority, ':[0-9]+\z', '')
    $port = $(if ($To.Port -eq @{ http = 80; https = 443 }[$To.Scheme]) { '' } else { ":$($To.Port)" })
    '{0}://{1}{2}{3}{4}' -f $To.Scheme, $name, $port, $read.Path, $read.Query
}

Function Get-ScepHttpProof {
    <#
    .SYNOPSIS
    Asks a URL over HTTP, from this host, now: an object with Proof (facts for the result) and Refusal, null if it is proven.
    .PARAMETER Thumbprint
    Of the CA, 40 upper hex digits; one certificate of GetCACert has to have it.
    #>
    param (
        [Parameter(Mandatory = $true)][string]$Url, [Parameter(Mandatory = $true)][string]$Thumbprint,
        [double]$Timeout, [double]$ConnectTimeout, [string]$Proxy
    )

    $answer = @(Get-ScepEndpoint -Url $Url -Timeout $Timeout -ConnectTimeout $ConnectTimeout -Proxy $Proxy)[0]
    $status = $(if ($null -ne $answer.http) { $answer.http.status } else { $null })
    $served = @(foreach ($one in $answer.ca_certificates) { if ($null -ne $one) { $one.thumbprint } })
    $proof = [ordered]@{
        url = $Url; status = $status; ca_caps = $answer.ca_caps; ca_thumbprints = [object[]]$served; ca_thumbprint = $Thumbprint
        duration_ms = $answer.duration_ms
    }
    $refusal = $null
    # A clock that is off is the last thing that is looked at, and is nothing to do with HTTP.
    if (-not $answer.ok -and $answer.failure -ne 'clock_skew') {
        $refusal = New-ScepRefusal -Reason 'http_not_proven' -Message "$Url does not answer this host as an NDES: $($answer.detail)"
    }
    elseif ($null -eq $answer.ca_caps -or $answer.ca_caps.Count -eq 0) {
        $refusal = New-ScepRefusal -Reason 'http_not_proven' -Message "$Url answers GetCACaps with no capabilities, so it is no NDES that works."
    }
    elseif ($Thumbprint -notin $served) {
        $refusal = New-ScepRefusal -Reason 'ca_thumbprint_mismatch' -Message (
            "$Url answers GetCACert with $($served -join ', '), and none of these is the CA $Thumbprint that the client expects: " +
            'find out whether that is another CA, or somebody on the way.')
    }
    [PSCustomObject]@{ Proof = $proof; Refusal = $refusal }
}

Export-ModuleMember -Function Get-ScepHttpProof, Get-ScepSwitchRefusal, Switch-ScepUrl
