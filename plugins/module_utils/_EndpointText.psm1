# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -PowerShell ._Http

# What a failed probe means and what to do, a sentence or two for each of its words.

$script:NoCertificate = @{ subject = 'unknown'; issuer = 'unknown'; not_before = 'unknown'; not_after = 'unknown'; dns_names = @() }

function Get-BadCertificate {
    # The first certificate of a chain that is not valid at a time; else the server's own.
    param ([object[]]$Built, [string]$Time)

    foreach ($fact in $Built) {
        # ISO times in UTC compare as text.
        if ([string]::CompareOrdinal($fact.not_after, $Time) -lt 0 -or [string]::CompareOrdinal($fact.not_before, $Time) -gt 0) {
            return $fact
        }
    }
    if ($Built.Count -gt 0) { $Built[0] } else { $script:NoCertificate }
}

function Get-CertificateSentence {
    # For the words that the server's certificate is to blame for; nothing for others.
    param ([string]$Failure, $Endpoint)

    $tls = $Endpoint.tls
    $server = "$($Endpoint.host):$($Endpoint.port)"
    $built = @($tls.built)
    $own = if ($built.Count -gt 0) { $built[0] } else { $script:NoCertificate }
    $subject = ConvertTo-PlainText -Text $own.subject
    $issuer = ConvertTo-PlainText -Text $(if ($tls.missing_issuer) { $tls.missing_issuer.subject } else { $own.issuer })
    $now = [DateTime]::UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", [System.Globalization.CultureInfo]::InvariantCulture)
    $bad = Get-BadCertificate -Built $built -Time $now
    $badSubject = ConvertTo-PlainText -Text $bad.subject
    switch ($Failure) {
        'untrusted_root' {
            $top = ConvertTo-PlainText -Text $(if ($built.Count -gt 0) { $built[-1].subject } else { 'unknown' })
            if ($tls.missing_issuer) {
                "The certificate of $server leads to '$top', and its issuer '$issuer' is not known to this host: most likely " +
                'that is the root, and it is not in LocalMachine\Root; it could also be an intermediate that the server does not send.'
            } else {
                "The certificate of $server leads to the root '$top', which this host does not trust (it is not in LocalMachine\Root)."
            }
        }
        'missing_intermediate' {
            "The server $server sends only its own certificate, and its issuer '$issuer' is not known to this host: let the " +
            'server send its intermediates, or put them into LocalMachine\CA; if a root issues directly, that root is not trusted here.'
        }
        'expired' {
            "The certificate '$badSubject' that $server presents expired at $($bad.not_after), and by this host's clock it is " +
            "${now}: renew it, or set the clock right."
        }
        'not_yet_valid' {
            "The certificate '$badSubject' that $server presents is valid from $($bad.not_before) only, and by this host's clock " +
            "it is ${now}: most likely this host's clock is slow."
        }
        'name_mismatch' {
            $names = ConvertTo-PlainText -Text $(if ($own.dns_names.Count -gt 0) { $own.dns_names -join ', ' } else { $own.subject })
            "The certificate of $server is for $names, not for $($Endpoint.host): use the name that it is for in the URL, or " +
            'give the server a certificate with this name.'
        }
        'revoked' {
            "A certificate in the chain of $server is revoked: the server needs a new one, and trusting a root does not help."
        }
        'revocation_unreachable' {
            "Whether a certificate in the chain of $server is revoked can't be told, because its revocation list or OCSP " +
            "responder is not reachable from this host. Windows' HTTP client asks only where a program tells it to, so this need " +
            'not be why an enrolment fails: probe again without check_revocation.'
        }
        'wrong_usage' {
            "The certificate '$subject' of $server may not be used for server authentication (extended key usage " +
            '1.3.6.1.5.5.7.3.1): give the server another one.'
        }
        'intercepted' {
            "The certificate of $server is issued by '$(ConvertTo-PlainText -Text $own.issuer)', not by whom it should be: most " +
            "likely TLS is inspected on the way. Exempt $($Endpoint.host) from inspection; do not trust this issuer for it."
        }
    }
}

function Get-HandshakeSentence {
    # For TLS that failed otherwise.
    param ([string]$Failure, $Endpoint, [hashtable]$Word)

    $server = "$($Endpoint.host):$($Endpoint.port)"
    $hello = if ($Endpoint.tls) { $Endpoint.tls.negotiation }
    if ($Failure -eq 'client_certificate_wanted') {
        return "The server $server wants a certificate of the client, and enrolment has none: let it ignore client " +
        'certificates for the SCEP application (IIS: SSL settings).'
    }
    $why = if ($Word['Problem'] -eq 'slow_chain') { 'its chain could not be built in time, as issuers had to be fetched' }
    elseif ($Endpoint.tls -and $Endpoint.tls.status.Count -gt 0) { "its chain has the flags $($Endpoint.tls.status -join ', ')" }
    elseif (-not $hello) { "the step's error says more" }
    elseif (-not $hello.tls) { 'what answers there is no TLS server' }
    elseif ($hello.protocol) { "the newest that it takes is $($hello.protocol)" }
    elseif ($hello.alert -eq 70) {
        # protocol_version, RFC 5246, 7.2.2
        'it takes none of TLS 1.0 to 1.2 (alert 70); TLS 1.3, if that is what it takes, Windows has from Windows 11 and Server 2022 on, ' +
        'and there the probe may lack it where enrolment does not'
    }
    else { "it answers with alert $($hello.alert)" }
    if ($Failure -eq 'no_common_protocol') {
        return "This host and $server have no TLS version or cipher suite in common (${why}): compare what Schannel has enabled on both."
    }
    "TLS with $server failed (${why})."
}

function Get-EndpointSentence {
    <#
    .SYNOPSIS
    What a failure's word means for this endpoint, and what to do.
    .PARAMETER Word
    What the step knows: Operation, Status, Reason, Problem.
    #>
    param ([Parameter(Mandatory = $true)][string]$Failure, [Parameter(Mandatory = $true)]$Endpoint, [hashtable]$Word = @{})

    $name = $Endpoint.host
    $server = "${name}:$($Endpoint.port)"
    $step = $Endpoint.failed_step
    $operation = if ($Word['Operation']) { $Word['Operation'] } else { 'the request' }
    $status = if ($Word['Status']) { "$($Word['Status']) $($Word['Reason'])".Trim() } else { 'no HTTP answer' }
    $proxy = $Endpoint.proxy.address
    $broke = "$server, or something on the way, ended the connection"
    switch ($Failure) {
        'bad_url' {
            return 'This is not a URL that enrolment can use: it has to begin with http:// or https://, have a host name, and no user name.'
        }
        'name_not_resolved' {
            return "This host can't resolve ${name}: check the name in the URL and the name servers of this host."
        }
        'dns_timeout' {
            return "This host's name servers gave no answer for $name in time: check that they are reachable and forward to " +
            'those that know it.'
        }
        'refused' { return "$server refuses connections: nothing listens there, or a firewall turns this host away." }
        'unreachable' { return "There is no way from this host to ${server}: no route, or this host's own firewall forbids it." }
        'timeout' {
            if ($step -eq 'connect') { return "$server does not answer connection attempts in time: most likely a firewall drops them." }
            if ($step -eq 'tls' -and $Endpoint.tls -and $Endpoint.tls.negotiation -and $Endpoint.tls.negotiation.tls) {
                return "$server answers the first message of a TLS handshake, but this host does not complete the handshake in time: " +
                'most likely Windows tries to fetch certificates for the chain of the server, as it does not know their issuer, and ' +
                "gets no answer. Look whether the server's root is in LocalMachine\Root here; with a longer chain_timeout the probe may tell."
            }
            if ($step -eq 'tls') { return "$server takes connections, but does not complete the TLS handshake in time." }
            return "$server did not answer $operation in time."
        }
        'reset' { return $(if ($step -eq 'tls') { "$broke as soon as TLS began." } else { "$broke before it had answered $operation." }) }
        'proxy_unreachable' {
            return "The proxy $proxy can't be reached from this host: check its address, and whether this host should use it " +
            "(source: $($Endpoint.proxy.source))."
        }
        'proxy_authentication' {
            return "The proxy $proxy wants to know who asks (407), and enrolment does not say: let the proxy pass requests to " +
            "$name without authentication."
        }
        'proxy_refused' {
            return "The proxy $proxy does not connect to ${server} (${status}): allow it there, or exempt $name from the proxy."
        }
        'unauthorized' {
            return "$server wants authentication for $operation (401): the SCEP application must allow anonymous access."
        }
        'forbidden' { return "$server forbids $operation (403): check access rules there and on the way." }
        'not_found' {
            if ($Endpoint.kind -eq 'aik') {
                return "Microsoft's AIK service does not know this authority (404): it has none for the issuer of this TPM's " +
                'certificate, and nothing on this host mends that.'
            }
            return "$server has nothing at this path (404): check the path of the URL, and that the SCEP application is installed there."
        }
        'busy' {
            return "$server is busy or out of service (${status}): try again later; on an NDES server, look at the application pool SCEP."
        }
        'server_error' {
            if ($proxy) { return "$server, or the proxy $proxy in its place, fails with $operation (${status}): look at the logs of both." }
            return "$server fails with $operation (${status}): look at the server's own event log."
        }
        'other_status' {
            if ($Endpoint.http['location']) {
                return "$server redirects $operation to $($Endpoint.http['location']) (${status}), which enrolment does not " +
                'follow: correct the URL, or get the portal out of the way.'
            }
            return "$server answers $operation with $status."
        }
        'not_scep' {
            if ($Word['Problem'] -eq 'not_http') { return "What answers at $server is no web server." }
            if ($Word['Problem'] -eq 'too_large') { return "What $server answers to $operation is too large for SCEP." }
            $lacks = if ($operation -eq 'GetCACert') { 'holds no certificates' } else { 'is no SCEP answer' }
            return "$server answers $operation with something that ${lacks}: the URL leads to something else, such as a portal " +
            'or an error page.'
        }
        'clock_skew' {
            return "The clocks of this host and of $server are $([Math]::Abs($Endpoint.clock_skew_seconds)) seconds apart: " +
            'compare both with a time server.'
        }
        'probe_failed' { return 'The probe itself failed at this step; its error says more. This says nothing about the server.' }
    }
    $sentence = if ($Endpoint.tls) { Get-CertificateSentence -Failure $Failure -Endpoint $Endpoint }
    if ($sentence) { $sentence } else { Get-HandshakeSentence -Failure $Failure -Endpoint $Endpoint -Word $Word }
}

Export-ModuleMember -Function Get-EndpointSentence
