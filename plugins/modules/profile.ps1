#!powershell

# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic
#AnsibleRequires -PowerShell ..module_utils._Change
#AnsibleRequires -PowerShell ..module_utils._MdmEnrolment
#AnsibleRequires -PowerShell ..module_utils._Proxy
#AnsibleRequires -PowerShell ..module_utils._ScepUrl
#AnsibleRequires -PowerShell ..module_utils._Setting
#AnsibleRequires -PowerShell ..module_utils._SettingTarget
#AnsibleRequires -PowerShell ..module_utils._SettingWrite
#AnsibleRequires -PowerShell ..module_utils._Undo
#AnsibleRequires -PowerShell ..module_utils._UrlSwitch

$spec = @{
    options = @{
        allow_port = @{ type = 'int' }
        ca_thumbprint = @{ type = 'str' }
        connect_timeout = @{ type = 'float'; default = 5.0 }
        enroll = @{ type = 'bool'; default = $false }
        enroll_timeout = @{ type = 'float'; default = 120.0 }
        file = @{ type = 'path' }
        from_url = @{ type = 'str' }
        profile_id = @{ type = 'str' }
        proxy = @{ type = 'str'; default = 'winhttp' }
        registry_value = @{
            type = 'dict'
            options = @{
                name = @{ type = 'str'; required = $true }
                path = @{ type = 'str'; required = $true }
            }
        }
        role = @{ type = 'str' }
        scope = @{ type = 'str'; choices = @('device', 'user'); default = 'device' }
        sid = @{ type = 'str' }
        timeout = @{ type = 'float'; default = 15.0 }
        undo = @{ type = 'str' }
        url = @{ type = 'str' }
    }
    mutually_exclusive = @(
        , @('file', 'profile_id', 'registry_value', 'undo')
        , @('undo', 'url')
    )
    required_one_of = @(
        , @('file', 'profile_id', 'registry_value', 'undo')
    )
    required_together = @(
        , @('from_url', 'url')
    )
    supports_check_mode = $true
}

$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

$option = $module.Params
$syncNote = 'MDM can write this profile again at its next sync, with the URL that its server has: change it there too.'

Initialize-ScepChangeResult -Module $module
$module.Result.proof = $null
$module.Result.enrollment = $null
$module.Result.notes = @()

Function Assert-NoRefusal {
    param ([AllowNull()]$Refusal)

    if ($null -ne $Refusal) { Deny-ScepChange -Module $module -Reason $Refusal.Reason -Message $Refusal.Message }
}

Function Assert-Option {
    <#
    .SYNOPSIS
    Throws a sentence where options do not fit each other, or have impossible values.
    #>
    foreach ($name in 'connect_timeout', 'enroll_timeout', 'timeout') {
        $longest = $(if ($name -eq 'enroll_timeout') { 3600 } else { 300 })
        if (-not ($option[$name] -gt 0 -and $option[$name] -le $longest)) {
            throw "$($name): $($option[$name]) is not possible; it has to be more than 0 and at most $longest seconds."
        }
    }
    Assert-ProxyOption -Proxy $option.proxy
    if ($null -ne $option.allow_port -and ($option.allow_port -lt 1 -or $option.allow_port -gt 65535)) {
        throw "allow_port: $($option.allow_port) is not a port; it has to be from 1 to 65535."
    }
    if ($option.enroll -and $null -eq $option.profile_id) {
        throw 'enroll: only a profile of MDM can be enrolled from here; name it with profile_id, or leave enroll out.'
    }
    if ($null -eq $option.undo -and $null -eq $option.url -and -not $option.enroll) {
        throw 'url: there is nothing to do; give url and from_url, or enroll for a profile of MDM.'
    }
    # The id becomes part of a key's path and of a command line.
    if ($null -ne $option.profile_id -and $option.profile_id -notmatch '\A[^\\"\x00-\x1F\x7F]{1,255}\z') {
        throw 'profile_id: it has to be the name of a registry key as profile_info returns it, without quotes and backslashes.'
    }
    if (($option.scope -eq 'user') -ne ($null -ne $option.sid)) {
        throw 'sid: it belongs to scope=user, and has to be given there: the SID of the user whose profile it is.'
    }
    if ($null -ne $option.sid -and $option.sid -notmatch '\AS-1-[0-9]+(?:-[0-9]+)+\z') {
        throw "sid: '$($option.sid)' is not a SID, as in S-1-5-21-1004336348-1177238915-682003330-1104."
    }
}

Function Get-WantedTarget {
    if ($null -ne $option.file) { return New-ScepSettingTarget -Type 'file' -Path (Resolve-ScepFilePath -Path $option.file -Option 'file') }
    if ($null -ne $option.profile_id) {
        $hive = $(if ($option.scope -eq 'user') { "HKU\$($option.sid)" } else { 'HKLM' })
        return New-ScepSettingTarget -Type 'mdm' -Path "$hive\SOFTWARE\Microsoft\SCEP\MS DM Server\$($option.profile_id)\Install" -Name 'ServerURL'
    }
    $target = New-ScepSettingTarget -Type 'registry' -Path $option.registry_value.path -Name $option.registry_value.name
    # The profile's own thumbprint must not be got round.
    if ([regex]::IsMatch($target.Key, '(?:\A|\\)Microsoft\\SCEP\\MS DM Server\\', 'IgnoreCase, CultureInvariant')) {
        Deny-ScepChange -Module $module -Reason 'mdm_profile' -Message "$($target.Path) is a profile of MDM: name it with profile_id."
    }
    $target
}

Function ConvertTo-DiffText {
    param ([AllowNull()]$State)

    if ($null -eq $State) { return '' }
    $where = $State['path']
    if ($null -ne $State['name']) { $where += '\' + $State['name'] }
    @(foreach ($one in $State['urls']) { "$($where): $($one['url'])`n" }) -join ''
}

Function Set-Outcome {
    param ($Before, $After)

    if ($Before['source'] -eq 'mdm') { $module.Result.notes = @($syncNote) }
    $outcome = @{
        Changed = $Before['sha256'] -cne $After['sha256']
        Before = $Before
        After = $After
        DiffBefore = ConvertTo-DiffText -State $Before
        DiffAfter = ConvertTo-DiffText -State $After
    }
    Set-ScepOutcome -Module $module @outcome
}

Function Get-Thumbprint {
    <#
    .SYNOPSIS
    The thumbprint that the CA has to have: the profile's, or the option's where the client keeps none.
    #>
    param ($Target)

    $given = $null
    if ($null -ne $option.ca_thumbprint) {
        $given = ConvertTo-ScepThumbprint -Text $option.ca_thumbprint
        if ($null -eq $given) {
            Deny-ScepChange -Module $module -Reason 'ca_thumbprint_invalid' -Message (
                'ca_thumbprint is not a SHA-1 thumbprint: it has 40 hexadecimal digits.')
        }
    }
    if ($Target.Type -ne 'mdm') {
        if ($null -eq $given) {
            Deny-ScepChange -Module $module -Reason 'ca_thumbprint_missing' -Message (
                'Over HTTP, only the thumbprint of the CA tells it from somebody else: give ca_thumbprint, from whoever runs the CA.')
        }
        return $given
    }
    $own = Read-ScepRegistryText -Hive $Target.Hive -Key $Target.Key -Name 'CAThumbprint'
    $pinned = $null
    if ($null -eq $own.Problem) { $pinned = ConvertTo-ScepThumbprint -Text $own.Text }
    if ($null -eq $pinned) {
        Deny-ScepChange -Module $module -Reason 'ca_thumbprint_missing' -Message (
            "$($Target.Path) has no usable CAThumbprint, so over HTTP the client could not tell the CA from somebody else: " +
            'set it where the profile comes from.')
    }
    if ($null -ne $given -and $given -cne $pinned) {
        Deny-ScepChange -Module $module -Reason 'ca_thumbprint_conflict' -Message (
            "ca_thumbprint is $given, but the profile's own is $($pinned): find out which CA is the right one.")
    }
    $pinned
}

Function Assert-Changeable {
    param ($Target, $Read)

    if ($null -ne $Read.Problem) { Deny-ScepChange -Module $module -Reason $Read.Problem -Message $Read.Message }
    if ($Target.Type -eq 'file') { Assert-NoRefusal -Refusal (Get-ScepFileObstacle -Path $Target.Path) }
}

Function Repair-Target {
    <#
    .SYNOPSIS
    Where the setting holds already what it shall: puts right what a change that was cut off left of its file.
    #>
    param ($Target)

    if ($Target.Type -ne 'file') { return }
    if ((Find-ScepFile -Path $Target.Path) -cne $Target.Path) { $module.Result.changed = $true }
    if (-not $module.CheckMode) { Repair-ScepFile -Path $Target.Path }
}

Function Invoke-TargetChange {
    param ([System.Collections.IDictionary]$Record, [string]$State, $Target, $Read, [object[]]$Edit, $Before, $After)

    $change = @{
        Record = $Record
        State = $State
        Apply = { Set-ScepSetting -Target $Target -Read $Read -Edit $Edit -Expected $After['sha256'] }
        Restore = {
            if ($Target.Type -eq 'file') { Repair-ScepFile -Path $Target.Path }
            $now = Read-ScepSetting -Target $Target
            # Where nothing was written, or not by this module, there is nothing to put back.
            if ($now.Sha256 -ceq $After['sha256']) {
                $shift = 0
                $back = @(
                    foreach ($one in $Edit) {
                        $old = $Read.Text.Substring($one.Index, $one.Length)
                        [PSCustomObject]@{ Index = $one.Index + $shift; Length = $one.Text.Length; Text = $old }
                        $shift += $one.Text.Length - $one.Length
                    }
                )
                Set-ScepSetting -Target $Target -Read $now -Edit $back -Expected $Before['sha256']
            }
            elseif ($null -ne $now.Problem) { throw $now.Message }
        }
    }
    Invoke-ScepChange -Module $module @change
}

Function Set-Url {
    $from = Read-ScepUrl -Url $option.from_url
    $to = Read-ScepUrl -Url $option.url
    Assert-NoRefusal -Refusal (Get-ScepSwitchRefusal -From $from -To $to -AllowPort ([int]$option.allow_port))
    $target = Get-WantedTarget
    $read = Read-ScepSetting -Target $target
    Assert-Changeable -Target $target -Read $read

    $found = @(Find-ScepSettingUrl -Target $target -Read $read -Key $from.Key)
    if ($found.Count -eq 0) {
        $there = @(Find-ScepSettingUrl -Target $target -Read $read -Key $to.Key)
        if ($there.Count -eq 0) {
            Deny-ScepChange -Module $module -Reason 'url_not_found' -Message (
                "$($target.Path) holds neither from_url nor url; profile_info shows what it holds.")
        }
        $state = New-ScepSettingState -Target $target -Read $read -Sha256 $read.Sha256 -Url $there
        Set-Outcome -Before $state -After $state
        Repair-Target -Target $target
        return
    }
    foreach ($one in $found) {
        if ($read.Kind -ceq 'ExpandString' -and [Environment]::ExpandEnvironmentVariables($one.Text) -cne $one.Text) {
            Deny-ScepChange -Module $module -Reason 'environment_variable' -Message (
                "$($target.Path) has an environment variable in the URL, so where it leads is not certain: change it by hand.")
        }
    }
    $edits = @(
        foreach ($one in $found) {
            [PSCustomObject]@{ Index = $one.Index; Length = $one.Length; Text = (Switch-ScepUrl -Url $one.Text -To $to) }
        }
    )
    $shift = 0
    $after = @(
        foreach ($one in $edits) {
            [PSCustomObject]@{ Index = $one.Index + $shift; Text = $one.Text }
            $shift += $one.Text.Length - $one.Length
        }
    )
    $hash = Set-ScepSetting -Target $target -Read $read -Edit $edits -DryRun
    $stateBefore = New-ScepSettingState -Target $target -Read $read -Sha256 $read.Sha256 -Url $found
    $stateAfter = New-ScepSettingState -Target $target -Read $read -Sha256 $hash -Url $after

    if ($to.Scheme -eq 'http') {
        $ask = @{
            Url = $edits[0].Text; Thumbprint = (Get-Thumbprint -Target $target); Timeout = $option.timeout
            ConnectTimeout = $option.connect_timeout; Proxy = $option.proxy
        }
        $asked = Get-ScepHttpProof @ask
        $module.Result.proof = $asked.Proof
        Assert-NoRefusal -Refusal $asked.Refusal
    }
    Set-Outcome -Before $stateBefore -After $stateAfter
    if ($module.CheckMode) { return }

    $record = New-ScepUndoRecord -Module 'profile' -Role $option.role -Before $stateBefore -After $stateAfter
    $done = @{
        Record = $record; State = 'done'; Target = $target; Read = $read; Edit = $edits; Before = $stateBefore; After = $stateAfter
    }
    Invoke-TargetChange @done
}

Function Undo-Change {
    $record = Get-ScepUndoRecord -ChangeId $option.undo -Module 'profile'
    $before = $record['before']
    $after = $record['after']
    $target = New-ScepSettingTarget -Type $after['source'] -Path $after['path'] -Name $after['name']
    $read = Read-ScepSetting -Target $target
    if ($record['state'] -eq 'undone') {
        # What became of the setting since it was undone is no longer this change's.
        $state = New-ScepSettingState -Target $target -Read $read -Sha256 $read.Sha256 -Url @()
        Set-Outcome -Before $state -After $state
        return
    }
    Assert-Changeable -Target $target -Read $read
    $same = $read.Kind -ceq $after['kind']
    if ($same -and $read.Sha256 -ceq $before['sha256']) {
        # Undone by hand, or interrupted before it was done.
        Set-Outcome -Before $before -After $before
        Repair-Target -Target $target
        if ($module.CheckMode) { return }
        $record['state'] = 'undone'
        Save-ScepUndoRecord -Record $record
        return
    }
    if (-not $same -or $read.Sha256 -cne $after['sha256']) {
        Deny-ScepChange -Module $module -Reason 'changed_since' -Message (
            "$($target.Path) is no longer as the change $($option.undo) left it (SHA-256 $($read.Sha256), not $($after['sha256'])): " +
            'look at it with profile_info, and change it by hand or with url and from_url.')
    }
    $edits = @(
        for ($i = 0; $i -lt $after['urls'].Count; $i++) {
            $is = $after['urls'][$i]
            [PSCustomObject]@{ Index = [int]$is['index']; Length = $is['url'].Length; Text = $before['urls'][$i]['url'] }
        }
    )
    Set-Outcome -Before $after -After $before
    if ($module.CheckMode) { return }

    $undone = @{ Record = $record; State = 'undone'; Target = $target; Read = $read; Edit = $edits; Before = $after; After = $before }
    Invoke-TargetChange @undone
}

Function Start-Enrolment {
    <#
    .SYNOPSIS
    Starts the enrolment of the profile, or says why not. It is no change of the host's settings, but something happens.
    #>
    $result = [ordered]@{ started = $false; program = $null; exit_code = $null; duration_ms = $null; detail = $null }
    if ($option.scope -eq 'user') {
        $result.detail = "The enrolment of a user's profile was not started: it has to run in the user's own logon. It comes with the next sync of MDM."
    }
    elseif ($module.CheckMode) {
        $module.Result.changed = $true
        $result.detail = 'In check mode no enrolment is started.'
    }
    else {
        $result = Start-ScepMdmEnrolment -ProfileId $option.profile_id -Timeout $option.enroll_timeout
        if ($result.started) { $module.Result.changed = $true }
    }
    $module.Result.enrollment = $result
}

try {
    Assert-Option
    if ($null -ne $option.undo) { Undo-Change }
    elseif ($null -ne $option.url) { Set-Url }
    else {
        $target = Get-WantedTarget
        $read = Read-ScepSetting -Target $target
        Assert-Changeable -Target $target -Read $read
    }
    if ($option.enroll) { Start-Enrolment }
}
catch {
    Exit-ScepChange -Module $module -ErrorRecord $_
}
$module.ExitJson()
