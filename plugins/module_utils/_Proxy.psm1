# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The proxy that Windows' HTTP client (WinHTTP) uses for this machine. Its settings are one binary value, which
# `netsh winhttp` writes. Microsoft documents the value's place, and its content for "no proxy"; its fields are little
# endian: version, counter, flags, then proxy, bypass list and, since `netsh winhttp set advproxy`, the address of a
# configuration script, each a length and that many bytes of ASCII. What does not fit is told, never guessed.

$script:SettingsKey = 'HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings\Connections'
$script:FlagProxy = 2
$script:FlagScript = 4
$script:FlagDetect = 8

function ConvertFrom-WinHttpSetting {
    <#
    .SYNOPSIS
    Proxy, Bypass and Script (text, or null) and Detect (whether a proxy is looked for) of a WinHttpSettings value; Problem
    where it is malformed.
    #>
    param ([AllowNull()][byte[]]$Value)

    $setting = @{ Proxy = $null; Bypass = $null; Script = $null; Detect = $false; Problem = $null }
    if ($null -eq $Value) { return $setting }
    if ($Value.Length -lt 12) {
        $setting.Problem = "it has $($Value.Length) bytes, at least 12 are needed"
        return $setting
    }
    $flags = [BitConverter]::ToInt32($Value, 8)
    $setting.Detect = [bool]($flags -band $script:FlagDetect)
    $fields = [System.Collections.ArrayList]::new()
    $offset = 12
    while ($fields.Count -lt 3 -and $offset + 4 -le $Value.Length) {
        $length = [BitConverter]::ToInt32($Value, $offset)
        $offset += 4
        if ($length -lt 0 -or $length -gt $Value.Length - $offset) {
            $setting.Problem = "the field at byte $($offset - 4) is longer than the value"
            return $setting
        }
        [void]$fields.Add([System.Text.Encoding]::ASCII.GetString($Value, $offset, $length))
        $offset += $length
    }
    if (($flags -band $script:FlagProxy) -and $fields.Count -gt 0 -and $fields[0]) {
        $setting.Proxy = $fields[0]
        if ($fields.Count -gt 1 -and $fields[1]) { $setting.Bypass = $fields[1] }
    }
    if (($flags -band $script:FlagScript) -and $fields.Count -gt 2 -and $fields[2]) { $setting.Script = $fields[2] }
    $setting
}

function Select-WinHttpProxy {
    <#
    .SYNOPSIS
    The address for a scheme out of a list such as "proxy:8080" or "http=a:80;https=b:443"; nothing if it names none.
    #>
    param ([Parameter(Mandatory = $true)][string]$List, [Parameter(Mandatory = $true)][string]$Scheme)

    $general = $null
    foreach ($entry in $List.Split([char[]]"; `t", [System.StringSplitOptions]::RemoveEmptyEntries)) {
        $parts = $entry.Split([char[]]'=', 2)
        if ($parts.Length -eq 1) {
            if ($null -eq $general) { $general = $entry }
        } elseif ($parts[0] -eq $Scheme) {
            return $parts[1]
        }
    }
    $general
}

function Test-WinHttpBypass {
    <#
    .SYNOPSIS
    Whether a host is on a bypass list: names with * for any characters, and <local> for names without a dot.
    #>
    param ([AllowNull()][AllowEmptyString()][string]$List, [Parameter(Mandatory = $true)][string]$HostName)

    if (-not $List) { return $false }
    foreach ($entry in $List.Split([char[]]"; `t", [System.StringSplitOptions]::RemoveEmptyEntries)) {
        if ($entry -eq '<local>') {
            if (-not $HostName.Contains('.') -and -not $HostName.Contains(':')) { return $true }
            continue
        }
        $pattern = '\A' + [regex]::Escape($entry).Replace('\*', '.*') + '\z'
        if ([regex]::IsMatch($HostName, $pattern, [System.Text.RegularExpressions.RegexOptions]'IgnoreCase, CultureInvariant')) {
            return $true
        }
    }
    $false
}

function ConvertTo-ProxyUri {
    <#
    .SYNOPSIS
    A proxy's address as a Uri; port 80 and http where it names none; nothing if it is malformed, no HTTP proxy, or has a
    user name.
    #>
    param ([Parameter(Mandatory = $true)][string]$Address)

    $text = if ($Address.Contains('://')) { $Address } else { "http://$Address" }
    $uri = $null
    if ([Uri]::TryCreate($text, [UriKind]::Absolute, [ref]$uri) -and $uri.Scheme -eq 'http' -and $uri.Host -and -not $uri.UserInfo) { $uri }
}

function Assert-ProxyOption {
    <#
    .SYNOPSIS
    Throws a sentence where the option proxy is neither one of its words nor the address of an HTTP proxy.
    #>
    param ([Parameter(Mandatory = $true)][AllowEmptyString()][string]$Proxy)

    if ($Proxy -in @('account', 'none', 'winhttp')) { return }
    if ($Proxy.Contains('@')) {
        throw 'proxy: a user name and password in the address of a proxy are of no use, as enrolment has none: leave out all up to the @.'
    }
    if ($Proxy -eq '' -or $null -eq (ConvertTo-ProxyUri -Address $Proxy)) {
        throw "proxy: '$Proxy' is neither winhttp, account or none, nor the address of an HTTP proxy, such as http://proxy.example:8080."
    }
}

function Get-WinHttpProxy {
    <#
    .SYNOPSIS
    Address (Uri, or null for a direct connection), Problem and Script for one URL, by this machine's WinHTTP settings.
    #>
    param ([Parameter(Mandatory = $true)][Uri]$Uri)

    $value = [Microsoft.Win32.Registry]::GetValue($script:SettingsKey, 'WinHttpSettings', $null)
    $found = @{ Address = $null; Problem = $null; Script = $null }
    if ($null -ne $value -and $value -isnot [byte[]]) {
        $found.Problem = 'the value WinHttpSettings is not binary'
        return $found
    }
    $setting = ConvertFrom-WinHttpSetting -Value $value
    $found.Script = $setting.Script
    if ($setting.Problem) {
        $found.Problem = "the value WinHttpSettings is malformed: $($setting.Problem)"
    } elseif ($setting.Proxy -and -not (Test-WinHttpBypass -List $setting.Bypass -HostName $Uri.Host)) {
        $address = Select-WinHttpProxy -List $setting.Proxy -Scheme $Uri.Scheme
        if ($address) {
            $found.Address = ConvertTo-ProxyUri -Address $address
            if ($address.Contains('@')) { $found.Problem = 'the address of the proxy has a user name in it, which enrolment could not use' }
            elseif ($null -eq $found.Address) { $found.Problem = "the proxy '$address' is not the address of an HTTP proxy" }
        }
    }
    if ($setting.Detect -and -not $found.Problem) {
        $found.Problem = 'WinHTTP is set to look for a proxy in the network (WPAD), which the probe does not do'
    }
    $found
}

Export-ModuleMember -Function Assert-ProxyOption, ConvertTo-ProxyUri, Get-WinHttpProxy
