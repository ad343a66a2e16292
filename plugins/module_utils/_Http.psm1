# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Just enough HTTP/1.1 for a GET over a connection that is already there. HttpWebRequest would make a connection of its
# own, not the one whose certificate was judged, and its settings are global to the process in .NET Framework.
# What a server sends is hostile: sizes are limited, nothing is followed, and control characters don't get through.

$script:HeadLimit = 65536
$script:BodyLimit = 1048576
$script:Latin1 = [System.Text.Encoding]::GetEncoding(28591)

function ConvertTo-PlainText {
    <#
    .SYNOPSIS
    Foreign text without control and format characters, at most so many characters of it.
    #>
    param ([AllowNull()][AllowEmptyString()][string]$Text, [int]$Limit = 200)

    if (-not $Text) { return '' }
    if ($Text.Length -gt $Limit) { $Text = $Text.Substring(0, $Limit) }
    [regex]::Replace($Text, '\p{C}', [string][char]0xFFFD)
}

function ConvertTo-HttpRequest {
    <#
    .SYNOPSIS
    The bytes of a GET or CONNECT. Target and host come from a Uri, so they hold no blanks or line ends.
    #>
    param (
        [Parameter(Mandatory = $true)][string]$Method,
        [Parameter(Mandatory = $true)][string]$Target,
        [Parameter(Mandatory = $true)][string]$HostHeader
    )

    $lines = "$Method $Target HTTP/1.1", "Host: $HostHeader", 'User-Agent: winpki.scep', 'Accept: */*', 'Connection: Keep-Alive', '', ''
    , $script:Latin1.GetBytes($lines -join "`r`n")
}

function Read-HttpHead {
    # Status, Reason and Headers (lower case; the first of each name counts), or nothing if this is no HTTP.
    param ([string]$Head)

    $lines = $Head.Split([string[]]"`r`n", [System.StringSplitOptions]::None)
    $first = [regex]::Match($lines[0], '\AHTTP/1\.[01] ([1-5][0-9]{2})(?: (.*))?\z')
    if (-not $first.Success) { return }
    $headers = @{}
    for ($i = 1; $i -lt $lines.Length; $i++) {
        $colon = $lines[$i].IndexOf(':')
        if ($colon -gt 0) {
            $name = $lines[$i].Substring(0, $colon).Trim().ToLowerInvariant()
            if (-not $headers.ContainsKey($name)) { $headers[$name] = $lines[$i].Substring($colon + 1).Trim() }
        }
    }
    @{ Status = [int]$first.Groups[1].Value; Reason = $first.Groups[2].Value; Headers = $headers }
}

function Read-ChunkedBody {
    # The body's bytes, and Next, the offset behind it; Problem 'not_http' or 'too_large'; nothing if more has to come.
    param ([byte[]]$Buffer, [int]$Length, [int]$Offset)

    $body = [System.IO.MemoryStream]::new()
    while ($true) {
        $line = $script:Latin1.GetString($Buffer, $Offset, [Math]::Min($Length - $Offset, 1024))
        $end = $line.IndexOf("`r`n", [System.StringComparison]::Ordinal)
        if ($end -lt 0) {
            if ($line.Length -ge 1024) { return @{ Problem = 'not_http' } }
            return
        }
        $size = [regex]::Match($line.Substring(0, $end), '\A([0-9A-Fa-f]{1,7})[ \t]*(?:;.*)?\z')
        if (-not $size.Success) { return @{ Problem = 'not_http' } }
        $count = [Convert]::ToInt32($size.Groups[1].Value, 16)
        if ($body.Length + $count -gt $script:BodyLimit) { return @{ Problem = 'too_large' } }
        $Offset += $end + 2
        if ($count -eq 0) { return @{ Problem = $null; Body = $body.ToArray() } }
        if ($Offset + $count + 2 -gt $Length) { return }
        $body.Write($Buffer, $Offset, $count)
        $Offset += $count + 2
    }
}

function Read-HttpResponse {
    <#
    .SYNOPSIS
    What has come of an answer so far; nothing while more of it has to come.
    .DESCRIPTION
    Status, Reason, Headers and Body; the body only of a 200, as that of an error is not looked at. KeepAlive: whether
    another request can follow. Problem: null, 'closed' (nothing came), 'cut' (its end is missing), 'not_http', 'too_large'.
    .PARAMETER Ended
    Whether the server has closed the connection.
    .PARAMETER HeadOnly
    For CONNECT, whose answer has no body.
    #>
    param ([Parameter(Mandatory = $true)][AllowEmptyCollection()][byte[]]$Buffer, [int]$Length, [bool]$Ended, [switch]$HeadOnly)

    $answer = @{ Status = $null; Reason = ''; Headers = @{}; Body = $null; KeepAlive = $false; Problem = $null }
    $text = $script:Latin1.GetString($Buffer, 0, [Math]::Min($Length, $script:HeadLimit))
    if (-not 'HTTP/1.'.StartsWith($text.Substring(0, [Math]::Min(7, $text.Length)), [System.StringComparison]::Ordinal)) {
        $answer.Problem = 'not_http'
        return $answer
    }
    $end = $text.IndexOf("`r`n`r`n", [System.StringComparison]::Ordinal)
    if ($end -lt 0) {
        if ($Ended) { $answer.Problem = if ($Length -eq 0) { 'closed' } else { 'cut' } }
        elseif ($Length -ge $script:HeadLimit) { $answer.Problem = 'too_large' }
        else { return }
        return $answer
    }
    $head = Read-HttpHead -Head $text.Substring(0, $end)
    if ($null -eq $head) {
        $answer.Problem = 'not_http'
        return $answer
    }
    $answer.Status = $head.Status
    $answer.Reason = ConvertTo-PlainText -Text $head.Reason
    $answer.Headers = $head.Headers
    if ($answer.Status -ne 200 -or $HeadOnly) { return $answer }

    $start = $end + 4
    $keepAlive = [string]$head.Headers['connection'] -notmatch '(?i)\bclose\b'
    if ([string]$head.Headers['transfer-encoding'] -match '(?i)\bchunked\b') {
        $chunked = Read-ChunkedBody -Buffer $Buffer -Length $Length -Offset $start
        if ($null -eq $chunked) {
            if (-not $Ended) { return }
            $answer.Problem = 'cut'
        } else {
            $answer.Problem = $chunked.Problem
            # A trailer may follow, which nobody waits for here.
            if (-not $chunked.Problem) { $answer.Body = $chunked.Body }
        }
        return $answer
    }
    $announced = [string]$head.Headers['content-length']
    if ($announced) {
        if ($announced -notmatch '\A[0-9]{1,18}\z') { $answer.Problem = 'not_http' }
        elseif ([long]$announced -gt $script:BodyLimit) { $answer.Problem = 'too_large' }
        elseif ($Length - $start -lt [long]$announced) {
            if (-not $Ended) { return }
            $answer.Problem = 'cut'
        } else {
            $answer.Body = [byte[]]::new([int]$announced)
            [Array]::Copy($Buffer, $start, $answer.Body, 0, $answer.Body.Length)
            $answer.KeepAlive = $keepAlive
        }
        return $answer
    }
    # Without a length, the end of the connection is the end of the body.
    if ($Length - $start -gt $script:BodyLimit) {
        $answer.Problem = 'too_large'
    } elseif (-not $Ended) {
        return
    } else {
        $answer.Body = [byte[]]::new($Length - $start)
        [Array]::Copy($Buffer, $start, $answer.Body, 0, $answer.Body.Length)
    }
    $answer
}

function Read-CaCapability {
    <#
    .SYNOPSIS
    The keywords that GetCACaps answers, a line each (RFC 8894, 3.5.2); nothing if the answer holds something else only.
    #>
    param ([Parameter(Mandatory = $true)][AllowEmptyCollection()][byte[]]$Body)

    $text = $script:Latin1.GetString($Body, 0, [Math]::Min($Body.Length, $script:HeadLimit))
    $words = @(foreach ($word in [regex]::Matches($text, '(?m)^[ \t]*([A-Za-z0-9-]{2,40})[ \t]*\r?$')) { $word.Groups[1].Value })
    if ($words.Count -gt 32) { $words = $words[0..31] }
    # An empty answer is one too: a server without capabilities.
    if ($words.Count -gt 0 -or -not $text.Trim()) { , [string[]]$words }
}

function Read-CaCertificate {
    <#
    .SYNOPSIS
    The certificates that GetCACert answers: one, or those of a certs-only PKCS#7; nothing if it is neither.
    #>
    param ([Parameter(Mandatory = $true)][AllowEmptyCollection()][byte[]]$Body)

    if ($Body.Length -eq 0) { return }
    try {
        # Only these two: Import() would also take a PKCS#12 file, private keys and all.
        $type = [System.Security.Cryptography.X509Certificates.X509Certificate2]::GetCertContentType($Body)
        if ([string]$type -notin @('Cert', 'Pkcs7')) { return }
        $certificates = [System.Security.Cryptography.X509Certificates.X509Certificate2Collection]::new()
        $certificates.Import($Body)
    } catch [System.Security.Cryptography.CryptographicException] {
        return
    }
    if ($certificates.Count -ge 1 -and $certificates.Count -le 50) { , @($certificates) }
}

Export-ModuleMember -Function ConvertTo-HttpRequest, ConvertTo-PlainText, Read-CaCapability, Read-CaCertificate, Read-HttpResponse
