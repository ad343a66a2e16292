#!powershell

# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic
#AnsibleRequires -PowerShell ..module_utils._Certificate
#AnsibleRequires -PowerShell ..module_utils._CertificateStore
#AnsibleRequires -PowerShell ..module_utils._ChainRule
#AnsibleRequires -PowerShell ..module_utils._Change
#AnsibleRequires -PowerShell ..module_utils._Undo

$spec = @{
    options = @{
        certificates = @{ type = 'list'; elements = 'str' }
        pins = @{ type = 'list'; elements = 'str' }
        role = @{ type = 'str' }
        state = @{ type = 'str'; choices = @('absent', 'present'); default = 'present' }
        undo = @{ type = 'str' }
    }
    mutually_exclusive = @(
        , @('certificates', 'undo')
        , @('pins', 'undo')
    )
    required_one_of = @(
        , @('certificates', 'undo')
    )
    supports_check_mode = $true
}

$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

$certificates = $module.Params.certificates
$pins = $module.Params.pins
$role = $module.Params.role
$state = $module.Params.state
$undo = $module.Params.undo

Initialize-ScepChangeResult -Module $module
$module.Result.certificates = @()

Function Get-Candidate {
    <#
    .SYNOPSIS
    Each certificate of the option once, with its facts and the store that it belongs to; what is none is refused.
    #>
    if ($null -eq $certificates -or $certificates.Count -eq 0) {
        throw 'certificates is empty: name at least one CA certificate, as PEM, or a change to undo.'
    }
    $items = @(ConvertFrom-ScepPem -Text ([string[]]$certificates))
    if (@($items | Where-Object -FilterScript { $_.Reason -eq 'private_key' }).Count -gt 0) {
        # The arguments are part of the result.
        $module.Result.invocation.module_args.certificates = 'not shown, a private key is among them'
    }
    Assert-ScepNoRefusal -Module $module -Refusal @($items | Where-Object -FilterScript { $_.Reason })

    $seen = @{}
    foreach ($item in $items) {
        $fact = Get-ScepCertificateFact -Certificate $item.Certificate
        if ($seen.ContainsKey($fact.sha256)) { continue }
        $seen[$fact.sha256] = $true
        [PSCustomObject]@{
            Name = '{0} ({1})' -f $item.Name, (ConvertTo-ScepPrintable -Text $fact.subject)
            Certificate = $item.Certificate
            Fact = $fact
        }
    }
}

Function New-Step {
    <#
    .SYNOPSIS
    One certificate, whether its store has it now, and whether it shall.
    #>
    param ([string]$Name, $Certificate, $Fact, [string]$Store, [bool]$Wanted)

    [PSCustomObject]@{
        Name = $Name
        Certificate = $Certificate
        Fact = $Fact
        Store = $Store
        Present = Test-ScepStoreCertificate -Store $Store -Certificate $Certificate
        Wanted = $Wanted
        Sources = @(Get-ScepStoreSource -Store $Store -Thumbprint $Fact.thumbprint)
    }
}

Function ConvertTo-State {
    <#
    .SYNOPSIS
    Steps as they stand in an undo record: what the change adds or takes away is in it whole, so that it can come back.
    #>
    param ([AllowEmptyCollection()][object[]]$Step, [switch]$After)

    foreach ($one in $Step) {
        $there = $(if ($After) { $one.Wanted } else { $one.Present })
        [ordered]@{
            store = $one.Store
            thumbprint = $one.Fact.thumbprint
            sha256 = $one.Fact.sha256
            subject = $one.Fact.subject
            present = $there
            pem = $(if ($there -and $one.Present -ne $one.Wanted) { $one.Fact.pem } else { $null })
        }
    }
}

Function ConvertTo-DiffText {
    param ([AllowEmptyCollection()][object[]]$State)

    $lines = foreach ($entry in $State) {
        if ($entry.present) {
            "LocalMachine\{0} {1} {2}`n" -f $entry.store, $entry.sha256, (ConvertTo-ScepPrintable -Text $entry.subject)
        }
    }
    @($lines) -join ''
}

Function Set-Outcome {
    <#
    .SYNOPSIS
    Puts what is done, or would be in check mode, into the result.
    #>
    param ([AllowEmptyCollection()][object[]]$Step)

    $before = @(ConvertTo-State -Step $Step)
    $after = @(ConvertTo-State -Step $Step -After)
    $outcome = @{
        Changed = @($Step | Where-Object -FilterScript { $_.Present -ne $_.Wanted }).Count -gt 0
        Before = $before
        After = $after
        DiffBefore = ConvertTo-DiffText -State $before
        DiffAfter = ConvertTo-DiffText -State $after
    }
    Set-ScepOutcome -Module $module @outcome
    $module.Result.certificates = @(
        foreach ($one in $Step) {
            $word = $(if ($one.Wanted) { 'present' } else { 'absent' })
            if ($one.Present -ne $one.Wanted) { $word = $(if ($one.Wanted) { 'added' } else { 'removed' }) }
            [ordered]@{
                store = $one.Store
                thumbprint = $one.Fact.thumbprint
                sha256 = $one.Fact.sha256
                subject = $one.Fact.subject
                not_after = $one.Fact.not_after
                sources = $one.Sources
                status = $word
            }
        }
    )
}

Function Restore-Step {
    <#
    .SYNOPSIS
    Puts back, last first, what was done before a failure; throws a sentence for each that could not be put back.
    #>
    param ([System.Collections.Stack]$Done)

    $left = @(
        while ($Done.Count -gt 0) {
            $one = $Done.Pop()
            try {
                if ((Test-ScepStoreCertificate -Store $one.Store -Certificate $one.Certificate) -ne $one.Present) {
                    Set-ScepStoreCertificate -Store $one.Store -Certificate $one.Certificate -Present $one.Present
                }
            }
            catch {
                "$($one.Name) in LocalMachine\$($one.Store): $($_.Exception.GetBaseException().Message)"
            }
        }
    )
    if ($left.Count -gt 0) { throw ($left -join ' ') }
}

Function Invoke-Change {
    <#
    .SYNOPSIS
    Brings each certificate to where it shall be, with the undo record around it.
    .DESCRIPTION
    A root comes last and goes first, so that nothing is trusted before all that it needs is there.
    #>
    param ([object[]]$Step, [System.Collections.IDictionary]$Record, [string]$State)

    $todo = @($Step | Where-Object -FilterScript { $_.Present -ne $_.Wanted })
    foreach ($store in @($todo | ForEach-Object -MemberName Store | Sort-Object -Unique)) { Assert-ScepStoreWritable -Store $store }
    $order = @($todo | Where-Object -FilterScript { $_.Store -eq 'Root' -and -not $_.Wanted }) +
        @($todo | Where-Object -FilterScript { $_.Store -ne 'Root' }) +
        @($todo | Where-Object -FilterScript { $_.Store -eq 'Root' -and $_.Wanted })
    $done = New-Object -TypeName System.Collections.Stack
    Invoke-ScepChange -Module $module -Record $Record -State $State -Apply {
        foreach ($one in $order) {
            $done.Push($one)
            try {
                Set-ScepStoreCertificate -Store $one.Store -Certificate $one.Certificate -Present $one.Wanted
            }
            catch {
                throw "$($one.Name) in LocalMachine\$($one.Store): $($_.Exception.GetBaseException().Message)"
            }
        }
    } -Restore { Restore-Step -Done $done }
}

Function Get-ChainRecord {
    @(Get-ScepUndoRecord | Where-Object -FilterScript { $_['state'] -ne 'unreadable' -and $_['module'] -ceq 'trust_chain' })
}

Function Set-Chain {
    $pinSet = ConvertTo-ScepPinSet -Pin $pins
    $candidates = @(Get-Candidate)
    $wanted = $state -eq 'present'
    if ($wanted) { Assert-ScepNoRefusal -Module $module -Refusal @(Get-ScepTrustRefusal -Candidate $candidates -Pin $pinSet) }
    $steps = @(
        foreach ($one in $candidates) {
            $store = $(if ($one.Fact.self_signed) { 'Root' } else { 'CA' })
            New-Step -Name $one.Name -Certificate $one.Certificate -Fact $one.Fact -Store $store -Wanted $wanted
        }
    )
    if (-not $wanted) {
        $refusals = @(Get-ScepForeignRefusal -Step $steps -Record @(Get-ChainRecord)) + @(Get-ScepRemovalRefusal -Step $steps)
        Assert-ScepNoRefusal -Module $module -Refusal $refusals
    }
    Set-Outcome -Step $steps
    if ($module.CheckMode -or -not $module.Result.changed) { return }

    $record = New-ScepUndoRecord -Module 'trust_chain' -Role $role -Before $module.Result.before -After $module.Result.after
    Invoke-Change -Step $steps -Record $record -State 'done'
}

Function Get-UndoStep {
    <#
    .SYNOPSIS
    What takes a change back: for each certificate that it added or removed, the opposite.
    #>
    param ([System.Collections.IDictionary]$Record)

    for ($i = 0; $i -lt $Record['after'].Count; $i++) {
        $was = $Record['before'][$i]
        $is = $Record['after'][$i]
        if ($was['present'] -eq $is['present']) { continue }
        $pem = [string]$(if ($was['present']) { $was['pem'] } else { $is['pem'] })
        $item = @(ConvertFrom-ScepPem -Text $pem)[0]
        if ($null -eq $item.Certificate -or (Get-ScepCertificateSha256 -Certificate $item.Certificate) -cne $was['sha256']) {
            throw ("The undo record $($Record['change_id']) is damaged: a certificate in it is not the one that it " +
                'names. It cannot be undone with it.')
        }
        $fact = Get-ScepCertificateFact -Certificate $item.Certificate
        $name = ConvertTo-ScepPrintable -Text $fact.subject
        New-Step -Name $name -Certificate $item.Certificate -Fact $fact -Store $was['store'] -Wanted $was['present']
    }
}

Function Undo-Change {
    $record = Get-ScepUndoRecord -ChangeId $undo -Module 'trust_chain'
    $steps = @(Get-UndoStep -Record $record)
    if ($record['state'] -eq 'undone') {
        # What became of the certificates since then is no longer this change's.
        foreach ($one in $steps) { $one.Wanted = $one.Present }
        Set-Outcome -Step $steps
        return
    }
    $refusals = @(Get-ScepLaterRefusal -Step $steps -Record @(Get-ChainRecord) -ChangeId $undo) +
        @(Get-ScepRemovalRefusal -Step $steps)
    Assert-ScepNoRefusal -Module $module -Refusal $refusals
    Set-Outcome -Step $steps
    if ($module.CheckMode) { return }

    Invoke-Change -Step $steps -Record $record -State 'undone'
}

try {
    if ($null -ne $undo) { Undo-Change }
    else { Set-Chain }
}
catch {
    $module.Result.certificates = @()
    Exit-ScepChange -Module $module -ErrorRecord $_
}
$module.ExitJson()
