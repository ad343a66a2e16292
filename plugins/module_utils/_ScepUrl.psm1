# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# SCEP URLs in settings: where they stand in a text, what they point at, which two of them are the same. They are read by
# their characters and not by System.Uri, which repairs what a client might take otherwise.

$script:Options = [System.Text.RegularExpressions.RegexOptions]'IgnoreCase, CultureInvariant'

# Written out in groups, as .NET has no \p for "what RFC 3986 allows". Quotes, commas and semicolons end a URL in a text.
$script:InText = [regex]::new('(?<![A-Z0-9+.-])https?://[A-Z0-9._~:/?#\[\]@!$&()*+=%-]+', $script:Options)
$script:Parts = [regex]::new(
    '\A(?<scheme>https?)://(?<host>\[[0-9A-F:.]+\]|[A-Z0-9](?:[A-Z0-9._-]*[A-Z0-9.])?)(?::(?<port>[0-9]{1,5}))?' +
    '(?<path>/[^?#\s]*)?(?<query>\?[^#\s]*)?\z', $script:Options)
$script:AikHost = [regex]::new('\A[A-Z0-9]{1,8}-keyid-[0-9A-F]{40}\.microsoftaik\.azure\.net\.?\z', $script:Options)
$script:AikDomain = [regex]::new('(?:\A|\.)microsoftaik\.azure\.net\.?\z', $script:Options)
# A path that walks upwards may end at another page than the one it seems to name.
$script:DotSegment = [regex]::new('/(?:\.|%2e){1,2}(?:/|\z)', $script:Options)
$script:SecretInUrl = [regex]::new(
    '(?<=://)[^/?#@]+(?=@)|(?<=[?&](?:challenge|challengepassword|otp|pass|password|pwd|secret|token)=)[^&#]+', $script:Options)

Function Test-ScepAikHostName {
    <#
    .SYNOPSIS
    Whether a name has the form of an AIK service's, VENDOR-KeyId-<40 hex digits>.microsoftaik.azure.net, in any case.
    #>
    param ([AllowEmptyString()][string]$Name)

    $script:AikHost.IsMatch($Name)
}

Function Read-ScepUrl {
    <#
    .SYNOPSIS
    What a URL points at.
    .DESCRIPTION
    Emits an object with Url, Kind (ndes, aik, other), Scheme, Host and Port (null where it is no http or https URL without
    user information and fragment), Authority (as written), Path, Query, InAikDomain, IsAdminPage (of NDES, which hands out
    passwords), and Key: the same for two spellings of one URL, as Windows' servers do not tell paths apart by case.
    #>
    param ([Parameter(Mandatory = $true)][AllowEmptyString()][string]$Url)

    $found = [PSCustomObject]@{
        Url = $Url; Kind = 'other'; Scheme = $null; Host = $null; Port = $null; Authority = $null; Path = ''; Query = ''
        InAikDomain = $false; IsAdminPage = $false; Key = $null
    }
    # Without regard to case, some letters count as those of ASCII.
    if ($Url.Length -gt 8192 -or $Url -cmatch '[^\x21-\x7E]') { return $found }
    $match = $script:Parts.Match($Url)
    if (-not $match.Success) { return $found }
    $default = $(if ($match.Groups['scheme'].Value -eq 'https') { 443 } else { 80 })
    $port = $default
    if ($match.Groups['port'].Success) { $port = [int]$match.Groups['port'].Value }
    if ($port -lt 1 -or $port -gt 65535) { return $found }

    $found.Scheme = $match.Groups['scheme'].Value.ToLowerInvariant()
    $found.Host = $match.Groups['host'].Value.ToLowerInvariant()
    $found.Port = $port
    $found.Authority = $match.Groups['host'].Value
    if ($match.Groups['port'].Success) { $found.Authority += ':' + $match.Groups['port'].Value }
    $found.Path = $match.Groups['path'].Value
    $found.Query = $match.Groups['query'].Value
    $found.InAikDomain = $script:AikDomain.IsMatch($found.Host)
    $found.Key = ('{0}://{1}:{2}{3}{4}' -f $found.Scheme, $found.Host.TrimEnd('.'), $port, $found.Path, $found.Query).ToLowerInvariant()
    $path = [Uri]::UnescapeDataString([Uri]::UnescapeDataString($found.Path)).Replace('\', '/').ToLowerInvariant()
    $found.IsAdminPage = [regex]::Replace($path, '/+', '/').Contains('/mscep_admin')
    if (Test-ScepAikHostName -Name $found.Host) { $found.Kind = 'aik' }
    elseif ($found.Path.ToLowerInvariant().Contains('/certsrv/mscep/') -and -not $script:DotSegment.IsMatch($found.Path)) {
        $found.Kind = 'ndes'
    }
    $found
}

Function Find-ScepUrl {
    <#
    .SYNOPSIS
    The http and https URLs in a text: objects with Index, Length and Text. What a sentence ends with is not part of one.
    #>
    param ([Parameter(Mandatory = $true)][AllowEmptyString()][string]$Text)

    foreach ($match in $script:InText.Matches($Text)) {
        $url = $match.Value.TrimEnd([char[]]'.:!?)]')
        [PSCustomObject]@{ Index = $match.Index; Length = $url.Length; Text = $url }
    }
}

Function Split-ScepUrlList {
    <#
    .SYNOPSIS
    The entries of a list of URLs with semicolons between them, as the value ServerURL is: Index, Length and Text.
    #>
    param ([Parameter(Mandatory = $true)][AllowEmptyString()][string]$Text)

    foreach ($match in [regex]::Matches($Text, '[^;]+')) {
        $entry = $match.Value.Trim()
        if ($entry -eq '') { continue }
        $index = $match.Index + ($match.Value.Length - $match.Value.TrimStart().Length)
        [PSCustomObject]@{ Index = $index; Length = $entry.Length; Text = $entry }
    }
}

Function Test-ScepUrl {
    <#
    .SYNOPSIS
    Whether a URL that was found in a text belongs to SCEP: NDES, the AIK service, or another server's usual path.
    #>
    param ([Parameter(Mandatory = $true)][string]$Url)

    $read = Read-ScepUrl -Url $Url
    $path = $(if ($null -ne $read.Scheme) { $read.Path } else { $Url }).ToLowerInvariant()
    $read.Kind -ne 'other' -or $path.Contains('/certsrv/mscep') -or $path.Contains('pkiclient.exe') -or
    $path -match '/scep(?:/|\z)'
}

Function Hide-ScepUrlSecret {
    <#
    .SYNOPSIS
    A URL without the user information and the password or challenge that may be in it.
    #>
    param ([Parameter(Mandatory = $true)][AllowEmptyString()][string]$Url)

    $script:SecretInUrl.Replace($Url, '***')
}

Function ConvertTo-ScepThumbprint {
    <#
    .SYNOPSIS
    A SHA-1 thumbprint as 40 upper hex digits, however it is written; nothing where it is none.
    #>
    param ([AllowNull()][AllowEmptyString()][string]$Text)

    # People copy thumbprints from dialogs, with invisible marks before them.
    $digits = [regex]::Replace([string]$Text, '[\s:\p{Pd}\p{Cf}]', '')
    if ($digits -match '\A[0-9A-Fa-f]{40}\z') { $digits.ToUpperInvariant() }
}

Export-ModuleMember -Function ConvertTo-ScepThumbprint, Find-ScepUrl, Hide-ScepUrlSecret, Read-ScepUrl, Split-ScepUrlList,
    Test-ScepAikHostName, Test-ScepUrl
