# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -PowerShell ._Certificate
#AnsibleRequires -PowerShell ._CertificateStore
#AnsibleRequires -PowerShell ._Change

# What speaks against trusting a certificate, or against taking one out of the stores. A refusal is an object with Reason
# (a word) and Message (a sentence that says what is missing).

$script:Origins = @{
    group_policy = 'Group Policy'
    enterprise = 'Active Directory'
    third_party = "Windows' own list of third-party roots"
}

Function ConvertTo-ScepPinSet {
    <#
    .SYNOPSIS
    Pins as a set of 64 lower hex digits. Colons, hyphens, spaces and the mark that Windows' dialogue copies are passed
    over; anything else is thrown, as a sentence.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param ([AllowNull()][AllowEmptyCollection()][object[]]$Pin)

    $set = @{}
    $number = 0
    foreach ($one in $Pin) {
        $number++
        $digits = ([string]$one -replace '[\s:\u200e-]', '').ToLowerInvariant()
        if ($digits -notmatch '\A[0-9a-f]{64}\z') {
            $hint = $(if ($digits.Length -eq 40) { ' 40 are a SHA-1 thumbprint, which is not enough.' })
            throw "pins entry $number is not a SHA-256: it has to have 64 hexadecimal digits.$hint"
        }
        $set[$digits] = $true
    }
    $set
}

Function Test-SigningUsage {
    # Without a key usage, a CA may sign certificates; with one, it has to say so.
    param ([System.Security.Cryptography.X509Certificates.X509Certificate2]$Certificate)

    foreach ($extension in $Certificate.Extensions) {
        if ($extension.Oid.Value -eq '2.5.29.15') {
            $flag = [System.Security.Cryptography.X509Certificates.X509KeyUsageFlags]::KeyCertSign
            try {
                return ($extension.KeyUsages -band $flag) -eq $flag
            }
            catch [System.Security.Cryptography.CryptographicException] {
                return $false
            }
        }
    }
    $true
}

Function Test-ChainEnd {
    <#
    .SYNOPSIS
    Whether a chain may end so: at a root of this set that is pinned, or at one that the host trusts already. An issuer
    in between has to be in the set or in the host's stores: one that Windows found elsewhere would not be there later.
    #>
    param ([object[]]$Element, [hashtable]$Known, [hashtable]$Pin)

    for ($i = 1; $i -lt $Element.Count - 1; $i++) {
        if (-not $Known.ContainsKey((Get-ScepCertificateSha256 -Certificate $Element[$i])) -and
            -not (Test-ScepStoreCertificate -Store 'CA' -Certificate $Element[$i])) {
            return $false
        }
    }
    $end = $Element[$Element.Count - 1]
    $sha256 = Get-ScepCertificateSha256 -Certificate $end
    ($Known.ContainsKey($sha256) -and $Pin.ContainsKey($sha256)) -or (Test-ScepStoreCertificate -Store 'Root' -Certificate $end)
}

Function Get-ChainRefusal {
    param ([object]$Candidate, [object[]]$All, [hashtable]$Known, [hashtable]$Pin)

    $name = $Candidate.Name
    $chain = Get-ScepChain -Certificate $Candidate.Certificate -Extra @($All.Certificate)
    $last = $chain.Elements[$chain.Elements.Count - 1]
    $lastName = ConvertTo-ScepPrintable -Text $last.Subject
    # The root is not trusted before it is added, so that it is not is no fault.
    $faults = @($chain.Status | Where-Object -FilterScript { $_ -notin @('UntrustedRoot', 'PartialChain') })
    if ('ExplicitDistrust' -in $faults) {
        New-ScepRefusal 'distrusted' "${name}: Windows explicitly distrusts it or a CA above it, so adding it would not help."
    }
    elseif ($faults.Count -gt 0) {
        New-ScepRefusal 'chain_invalid' "${name}: its chain up to $lastName is not valid ($($faults -join ', '))."
    }
    elseif ('PartialChain' -in $chain.Status) {
        $missing = ConvertTo-ScepPrintable -Text $last.Issuer
        New-ScepRefusal 'chain_incomplete' "${name}: the certificate of its issuer $missing is missing: add it to certificates."
    }
    elseif (-not (Test-ChainEnd -Element $chain.Elements -Known $Known -Pin $Pin)) {
        New-ScepRefusal 'chain_incomplete' (
            "${name}: its chain ends at $lastName, which is neither a pinned root among certificates nor " +
            'trusted on this host already: add that root to certificates and its SHA-256 to pins.')
    }
}

Function Get-ScepTrustRefusal {
    <#
    .SYNOPSIS
    All that speaks against adding these certificates.
    .PARAMETER Candidate
    Objects with Name (for messages), Certificate and Fact (of Get-ScepCertificateFact).
    .PARAMETER Pin
    The set of SHA-256 that may become roots, of ConvertTo-ScepPinSet.
    #>
    [CmdletBinding()]
    param (
        [Parameter(Mandatory = $true)][object[]]$Candidate,
        [Parameter(Mandatory = $true)][AllowEmptyCollection()][hashtable]$Pin
    )

    $now = [DateTime]::UtcNow
    $clock = $now.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", [System.Globalization.CultureInfo]::InvariantCulture)
    $known = @{}
    foreach ($one in $Candidate) { $known[$one.Fact.sha256] = $true }
    foreach ($one in $Candidate) {
        $name = $one.Name
        $fact = $one.Fact
        if (-not $fact.is_ca -or -not (Test-SigningUsage -Certificate $one.Certificate)) {
            New-ScepRefusal 'not_a_ca' (
                "$name is not a CA certificate (basic constraints with CA true, key usage with certificate signing if " +
                'there is one): a leaf is never trusted as such; give the CA certificates above it.')
        }
        elseif ($one.Certificate.NotAfter.ToUniversalTime() -lt $now) {
            New-ScepRefusal 'expired' "$name expired at $($fact.not_after); this host's clock says $clock."
        }
        elseif ($one.Certificate.NotBefore.ToUniversalTime() -gt $now) {
            New-ScepRefusal 'not_yet_valid' "$name is not valid before $($fact.not_before); this host's clock says $clock."
        }
        elseif ((Test-ScepStoreCertificate -Store 'Disallowed' -Certificate $one.Certificate) -or
            @(Get-ScepStoreSource -Store 'Disallowed' -Thumbprint $fact.thumbprint).Count -gt 0) {
            New-ScepRefusal 'distrusted' (
                "$name is in LocalMachine\Disallowed, so Windows would not trust it: take it out there first, if that " +
                'is right.')
        }
        elseif ($fact.self_signed -and -not $Pin.ContainsKey($fact.sha256)) {
            New-ScepRefusal 'root_not_pinned' (
                "$name is a root whose SHA-256 is not in pins: check $($fact.sha256) with whoever runs that CA, " +
                'over another way than the one the certificate came by, and add it.')
        }
        else {
            Get-ChainRefusal -Candidate $one -All $Candidate -Known $known -Pin $Pin
        }
    }
}

Function Get-ScepRemovalRefusal {
    <#
    .SYNOPSIS
    What speaks against taking certificates out of the stores: another source, which would keep them there.
    .PARAMETER Step
    Objects with Name, Store, Present, Wanted and Sources.
    #>
    [CmdletBinding()]
    param ([Parameter(Mandatory = $true)][AllowEmptyCollection()][object[]]$Step)

    foreach ($one in $Step) {
        if (-not $one.Present -or $one.Wanted -or $one.Sources.Count -eq 0) { continue }
        $from = foreach ($source in $one.Sources) { $script:Origins[$source] }
        New-ScepRefusal 'managed_elsewhere' (
            "$($one.Name) also comes from $(@($from) -join ' and ') and would stay in LocalMachine\$($one.Store): " +
            'remove it there.')
    }
}

Function Get-ScepForeignRefusal {
    <#
    .SYNOPSIS
    What is there without this module having put it there, by the undo records: something else may rest on it.
    .PARAMETER Step
    As for Get-ScepRemovalRefusal, with Fact.
    .PARAMETER Record
    All undo records of trust_chain, oldest first.
    #>
    [CmdletBinding()]
    param (
        [Parameter(Mandatory = $true)][AllowEmptyCollection()][object[]]$Step,
        [AllowEmptyCollection()][object[]]$Record = @()
    )

    $own = @{}
    foreach ($one in $Record) {
        if ($one['state'] -notin @('prepared', 'done')) { continue }
        for ($i = 0; $i -lt $one['after'].Count; $i++) {
            $entry = $one['after'][$i]
            $key = '{0}/{1}' -f $entry['store'], $entry['sha256']
            if (-not $entry['present']) { $own.Remove($key) }
            elseif (-not $one['before'][$i]['present']) { $own[$key] = $true }
        }
    }
    foreach ($one in $Step) {
        if ($one.Present -and -not $own.ContainsKey(('{0}/{1}' -f $one.Store, $one.Fact.sha256))) {
            New-ScepRefusal 'not_added_here' (
                "$($one.Name) is in LocalMachine\$($one.Store), but no undo record says that this module added it: " +
                'remove it by hand if nothing else needs it.')
        }
    }
}

Function Get-ScepLaterRefusal {
    <#
    .SYNOPSIS
    The later changes that rest on the same certificates and have not been undone.
    .PARAMETER Step
    As for Get-ScepRemovalRefusal, with Fact.
    .PARAMETER Record
    All undo records of trust_chain, oldest first.
    .PARAMETER ChangeId
    The change to undo.
    #>
    [CmdletBinding()]
    param (
        [Parameter(Mandatory = $true)][AllowEmptyCollection()][object[]]$Step,
        [Parameter(Mandatory = $true)][object[]]$Record,
        [Parameter(Mandatory = $true)][string]$ChangeId
    )

    $touched = @{}
    foreach ($one in $Step) { $touched['{0}/{1}' -f $one.Store, $one.Fact.sha256] = $one.Name }
    $later = $false
    foreach ($one in $Record) {
        if ($one['change_id'] -ceq $ChangeId) {
            $later = $true
            continue
        }
        if (-not $later -or $one['state'] -notin @('prepared', 'done')) { continue }
        $shared = @(
            foreach ($entry in $one['after']) {
                $key = '{0}/{1}' -f $entry['store'], $entry['sha256']
                if ($touched.ContainsKey($key)) { $touched[$key] }
            }
        )
        if ($shared.Count -gt 0) {
            New-ScepRefusal 'used_by_later_change' (
                "The later change $($one['change_id']) rests on $($shared[0]) as well: undo that one first.")
        }
    }
}

$export = @{
    Function = @(
        'ConvertTo-ScepPinSet', 'Get-ScepForeignRefusal', 'Get-ScepLaterRefusal', 'Get-ScepRemovalRefusal',
        'Get-ScepTrustRefusal'
    )
}
Export-ModuleMember @export
