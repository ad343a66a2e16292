# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Certificates as text and as data. What a certificate says is hostile: nothing of it is run, formatted by Windows in
# its own language, or trusted to be well-formed.

Function Read-DerElement {
    <#
    .SYNOPSIS
    One DER element: Tag, Start and Length of its content, Next (the offset behind it); nothing if it does not fit.
    #>
    param ([byte[]]$Bytes, [int]$Offset, [int]$End)

    if ($Offset + 2 -gt $End) { return }
    $length = [int]$Bytes[$Offset + 1]
    $start = $Offset + 2
    if ($length -ge 0x80) {
        $octets = $length -band 0x7F
        # The indefinite form is not DER, and no extension is longer than three octets can say.
        if ($octets -lt 1 -or $octets -gt 3 -or $start + $octets -gt $End) { return }
        $length = 0
        for ($i = 0; $i -lt $octets; $i++) { $length = $length * 256 + $Bytes[$start + $i] }
        $start += $octets
    }
    if ($start + $length -gt $End) { return }
    [PSCustomObject]@{ Tag = [int]$Bytes[$Offset]; Start = $start; Length = $length; Next = $start + $length }
}

Function Read-DerContent {
    <#
    .SYNOPSIS
    The elements inside an extension's outer SEQUENCE, up to the first that is malformed.
    #>
    param ([byte[]]$Bytes)

    $outer = Read-DerElement -Bytes $Bytes -Offset 0 -End $Bytes.Length
    if ($null -eq $outer -or $outer.Tag -ne 0x30) { return }
    $offset = $outer.Start
    while ($offset -lt $outer.Next) {
        $element = Read-DerElement -Bytes $Bytes -Offset $offset -End $outer.Next
        if ($null -eq $element) { return }
        $element
        $offset = $element.Next
    }
}

Function ConvertTo-Hex {
    param ([byte[]]$Bytes)

    [BitConverter]::ToString($Bytes).Replace('-', '')
}

Function Get-ExtensionByOid {
    param ([System.Security.Cryptography.X509Certificates.X509Certificate2]$Certificate, [string]$Oid)

    foreach ($extension in $Certificate.Extensions) {
        if ($extension.Oid.Value -eq $Oid) { return $extension }
    }
}

# .NET Framework has no class for the authority key identifier (2.5.29.35), so its keyIdentifier [0] is read here.
Function Get-AuthorityKeyId {
    param ([System.Security.Cryptography.X509Certificates.X509Certificate2]$Certificate)

    $extension = Get-ExtensionByOid -Certificate $Certificate -Oid '2.5.29.35'
    if ($null -eq $extension) { return $null }
    foreach ($element in @(Read-DerContent -Bytes $extension.RawData)) {
        if ($element.Tag -eq 0x80 -and $element.Length -gt 0) {
            $id = New-Object -TypeName byte[] -ArgumentList $element.Length
            [Array]::Copy($extension.RawData, $element.Start, $id, 0, $element.Length)
            return (ConvertTo-Hex -Bytes $id).ToLowerInvariant()
        }
    }
    return $null
}

# Nor one for the subject alternative name (2.5.29.17); Format() writes it in the system's language.
Function Get-DnsName {
    param ([System.Security.Cryptography.X509Certificates.X509Certificate2]$Certificate)

    $extension = Get-ExtensionByOid -Certificate $Certificate -Oid '2.5.29.17'
    if ($null -eq $extension) { return }
    foreach ($element in @(Read-DerContent -Bytes $extension.RawData)) {
        if ($element.Tag -eq 0x82) {
            [System.Text.Encoding]::ASCII.GetString($extension.RawData, $element.Start, $element.Length)
        }
    }
}

Function Get-SubjectKeyId {
    param ([System.Security.Cryptography.X509Certificates.X509Certificate2]$Certificate)

    $extension = Get-ExtensionByOid -Certificate $Certificate -Oid '2.5.29.14'
    if ($null -eq $extension) { return $null }
    $element = Read-DerElement -Bytes $extension.RawData -Offset 0 -End $extension.RawData.Length
    if ($null -eq $element -or $element.Tag -ne 0x04 -or $element.Length -eq 0) { return $null }
    $id = New-Object -TypeName byte[] -ArgumentList $element.Length
    [Array]::Copy($extension.RawData, $element.Start, $id, 0, $element.Length)
    (ConvertTo-Hex -Bytes $id).ToLowerInvariant()
}

Function Test-BasicConstraintCa {
    param ([System.Security.Cryptography.X509Certificates.X509Certificate2]$Certificate)

    $extension = Get-ExtensionByOid -Certificate $Certificate -Oid '2.5.29.19'
    if ($null -eq $extension) { return $false }
    try {
        return [bool]$extension.CertificateAuthority
    }
    catch [System.Security.Cryptography.CryptographicException] {
        return $false
    }
}

Function Get-ScepCertificateSha256 {
    <#
    .SYNOPSIS
    The SHA-256 of a certificate, 64 lower hex digits: the form that pins have.
    #>
    param ([Parameter(Mandatory = $true)][System.Security.Cryptography.X509Certificates.X509Certificate2]$Certificate)

    $sha256 = [System.Security.Cryptography.SHA256]::Create()
    try {
        (ConvertTo-Hex -Bytes $sha256.ComputeHash($Certificate.RawData)).ToLowerInvariant()
    }
    finally {
        $sha256.Dispose()
    }
}

Function ConvertTo-ScepPem {
    <#
    .SYNOPSIS
    A certificate as PEM: lines of 64 characters, line feeds, one at the end.
    #>
    param ([Parameter(Mandatory = $true)][System.Security.Cryptography.X509Certificates.X509Certificate2]$Certificate)

    $body = [Convert]::ToBase64String($Certificate.RawData) -replace '(.{64})(?=.)', "`$1`n"
    "-----BEGIN CERTIFICATE-----`n$body`n-----END CERTIFICATE-----`n"
}

Function ConvertTo-ScepPrintable {
    <#
    .SYNOPSIS
    A certificate's own text for messages: no character of it may steer a terminal or begin a line; at most 200.
    #>
    param ([AllowEmptyString()][string]$Text)

    $clean = [regex]::Replace($Text, '[\p{C}\p{Zl}\p{Zp}]', '?')
    if ($clean.Length -gt 200) { $clean = $clean.Substring(0, 200) + '...' }
    $clean
}

Function Get-ScepCertificateFact {
    <#
    .SYNOPSIS
    What a certificate says, as every module of the collection returns it. Never anything of a private key.
    #>
    param ([Parameter(Mandatory = $true)][System.Security.Cryptography.X509Certificates.X509Certificate2]$Certificate)

    $invariant = [System.Globalization.CultureInfo]::InvariantCulture
    $time = "yyyy-MM-dd'T'HH:mm:ss'Z'"
    $subjectKeyId = Get-SubjectKeyId -Certificate $Certificate
    $authorityKeyId = Get-AuthorityKeyId -Certificate $Certificate
    $sameName = [BitConverter]::ToString($Certificate.SubjectName.RawData) -eq [BitConverter]::ToString($Certificate.IssuerName.RawData)
    # A CA that gets a new key may certify it with the old one: same names, but another key signed.
    $otherKey = $null -ne $subjectKeyId -and $null -ne $authorityKeyId -and $subjectKeyId -ne $authorityKeyId

    [ordered]@{
        subject = $Certificate.Subject
        issuer = $Certificate.Issuer
        serial_number = $Certificate.SerialNumber
        thumbprint = $Certificate.Thumbprint.ToUpperInvariant()
        sha256 = Get-ScepCertificateSha256 -Certificate $Certificate
        not_before = $Certificate.NotBefore.ToUniversalTime().ToString($time, $invariant)
        not_after = $Certificate.NotAfter.ToUniversalTime().ToString($time, $invariant)
        is_ca = Test-BasicConstraintCa -Certificate $Certificate
        self_signed = $sameName -and -not $otherKey
        subject_key_identifier = $subjectKeyId
        authority_key_identifier = $authorityKeyId
        dns_names = [object[]]@(Get-DnsName -Certificate $Certificate)
        pem = ConvertTo-ScepPem -Certificate $Certificate
    }
}

Function New-PemItem {
    param ([string]$Name, $Certificate, [string]$Reason, [string]$Message)

    [PSCustomObject]@{ Name = $Name; Certificate = $Certificate; Reason = $Reason; Message = $Message }
}

# One block's base64: the certificate, or why it is none. A container (PKCS#12, PKCS#7) is not let in: it could bring a key.
Function ConvertFrom-PemBody {
    param ([string]$Name, [string]$Body)

    try {
        $der = [Convert]::FromBase64String($Body)
        if ($der.Length -gt 0 -and
            [System.Security.Cryptography.X509Certificates.X509Certificate2]::GetCertContentType($der) -eq 'Cert') {
            $certificate = New-Object -TypeName System.Security.Cryptography.X509Certificates.X509Certificate2 -ArgumentList @(, $der)
            if ($certificate.RawData.Length -eq $der.Length) {
                return New-PemItem -Name $Name -Certificate $certificate
            }
        }
        $message = "$Name is not one X.509 certificate: give each certificate in a block of its own."
    }
    catch [System.FormatException] {
        $message = "$Name is damaged: what is between its BEGIN and END lines is not base64."
    }
    catch [System.Security.Cryptography.CryptographicException] {
        $message = "$Name is damaged: it does not decode as an X.509 certificate."
    }
    New-PemItem -Name $Name -Reason 'invalid_certificate' -Message $message
}

Function ConvertFrom-ScepPem {
    <#
    .SYNOPSIS
    The certificates in PEM texts, each of which may hold several; text around the blocks is passed over.
    .DESCRIPTION
    Emits objects with Name (such as "certificates entry 2, block 1", for messages) and either Certificate, or Reason
    ('private_key', 'invalid_certificate') and Message. No message quotes the text, which may hold a key.
    .PARAMETER Option
    The option that the texts come from, for the names.
    #>
    param (
        [Parameter(Mandatory = $true)][AllowEmptyCollection()][AllowEmptyString()][string[]]$Text,
        [string]$Option = 'certificates'
    )

    for ($i = 0; $i -lt $Text.Length; $i++) {
        $entry = "$Option entry $($i + 1)"
        if ([regex]::IsMatch($Text[$i], '-----BEGIN [A-Z0-9 ]*PRIVATE KEY', 'IgnoreCase, CultureInvariant')) {
            New-PemItem -Name $entry -Reason 'private_key' -Message (
                "$entry holds a private key: give the certificates alone, and treat that key as disclosed.")
            continue
        }
        $blocks = [regex]::Matches($Text[$i], '-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END \1-----')
        if ($blocks.Count -eq 0 -or $blocks.Count -ne [regex]::Matches($Text[$i], '-----BEGIN').Count) {
            New-PemItem -Name $entry -Reason 'invalid_certificate' -Message (
                "$entry is not PEM: each certificate has to stand between a BEGIN CERTIFICATE and an END CERTIFICATE line.")
            continue
        }
        for ($j = 0; $j -lt $blocks.Count; $j++) {
            $name = "$entry, block $($j + 1)"
            $label = $blocks[$j].Groups[1].Value
            if ($label -notin @('CERTIFICATE', 'X509 CERTIFICATE')) {
                New-PemItem -Name $name -Reason 'invalid_certificate' -Message "$name is a $label, not a certificate."
                continue
            }
            ConvertFrom-PemBody -Name $name -Body $blocks[$j].Groups[2].Value
        }
    }
}

$export = @{
    Function = @(
        'ConvertFrom-ScepPem', 'ConvertTo-ScepPem', 'ConvertTo-ScepPrintable', 'Get-ScepCertificateFact',
        'Get-ScepCertificateSha256'
    )
}
Export-ModuleMember @export
