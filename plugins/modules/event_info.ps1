#!powershell

# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic
#AnsibleRequires -PowerShell ..module_utils._EnrolmentEvent
#AnsibleRequires -PowerShell ..module_utils._EventLog

$spec = @{
    options = @{
        after_record_id = @{ type = 'int' }
        computers = @{ type = 'list'; elements = 'str'; default = @() }
        event_ids = @{ type = 'list'; elements = 'int'; default = @(86, 87, 88) }
        group = @{ type = 'bool'; default = $false }
        include_message = @{ type = 'bool'; default = $false }
        log_name = @{ type = 'str'; default = 'Application' }
        max_events = @{ type = 'int'; default = 10000 }
        path = @{ type = 'path' }
        # Not str: PowerShell 7 makes a DateTime of an ISO time in the module's arguments.
        since = @{ type = 'raw' }
    }
    mutually_exclusive = @(
        , @('log_name', 'path')
    )
    supports_check_mode = $true
}

$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

$afterRecordId = $module.Params.after_record_id
$computers = [string[]]$module.Params.computers
$eventIds = [int[]]@($module.Params.event_ids | Sort-Object -Unique)
$group = $module.Params.group
$includeMessage = $module.Params.include_message
$logName = $module.Params.log_name
$maxEvents = $module.Params.max_events
$path = $module.Params.path
$since = $module.Params.since

$now = [DateTime]::UtcNow

# Always returned, even in a failure.
$module.Result.events = @()
$module.Result.truncated = $false
$module.Result.last_record_id = $null
$module.Result.log = $null
$module.Result.host = @{ name = $null; time = (ConvertTo-IsoTime $now); start_time = $null }

Function ConvertTo-SinceTime {
    <#
    .SYNOPSIS
    The moment that the option since stands for, in UTC; null if it is malformed.
    #>
    [CmdletBinding()]
    [OutputType([DateTime])]
    param (
        [Parameter(Mandatory)]
        [object]
        $Value,

        [Parameter(Mandatory)]
        [DateTime]
        $Now
    )

    # Before a file time can be, so no event is older.
    $earliest = [DateTime]::new(1601, 1, 1, 0, 0, 0, [DateTimeKind]::Utc)
    if ($Value -is [DateTime]) {
        if ($Value.Kind -eq [DateTimeKind]::Unspecified) {
            $Value = [DateTime]::SpecifyKind($Value, [DateTimeKind]::Utc)
        }
        return $Value.ToUniversalTime()
    }

    $text = ([string]$Value).Trim()
    $duration = [regex]::Match($text, @'
(?xi) \A (?=.*[0-9])
(?:
    (?:(?<w>[0-9]{1,6})w)? (?:(?<d>[0-9]{1,6})d)? (?:(?<h>[0-9]{1,8})h)? (?:(?<m>[0-9]{1,9})m)? (?:(?<s>[0-9]{1,9})s)?
  | P (?:(?<w>[0-9]{1,6})W)? (?:(?<d>[0-9]{1,6})D)?
    (?:T(?=[0-9]) (?:(?<h>[0-9]{1,8})H)? (?:(?<m>[0-9]{1,9})M)? (?:(?<s>[0-9]{1,9})S)? )?
) \z
'@)
    if ($duration.Success) {
        $seconds = [double]0
        foreach ($unit in @(@('w', 604800), @('d', 86400), @('h', 3600), @('m', 60), @('s', 1))) {
            if ($duration.Groups[$unit[0]].Success) {
                $seconds += $unit[1] * [double]$duration.Groups[$unit[0]].Value
            }
        }
        if ($seconds -ge ($Now - $earliest).TotalSeconds) {
            return $earliest
        }
        return $Now.AddSeconds(-$seconds)
    }

    $formats = [string[]]@('yyyy-MM-dd', 'yyyy-MM-ddTHH:mmK', 'yyyy-MM-ddTHH:mm:ssK', 'yyyy-MM-ddTHH:mm:ss.FFFFFFFK')
    $styles = [System.Globalization.DateTimeStyles]::AssumeUniversal
    $time = [DateTimeOffset]::MinValue
    $iso = $text -creplace '\A([0-9]{4}-[0-9]{2}-[0-9]{2}) ', '$1T'
    if ([DateTimeOffset]::TryParseExact($iso, $formats, [CultureInfo]::InvariantCulture, $styles, [ref]$time)) {
        if ($time.UtcDateTime -lt $earliest) {
            return $earliest
        }
        return $time.UtcDateTime
    }
    $null
}

Function Get-HostName {
    <#
    .SYNOPSIS
    The name that this host writes into its events: the DNS host name, with the primary DNS suffix if there is one.
    #>
    # MachineName would be the NetBIOS name, cut after 15 characters.
    $name = [System.Net.Dns]::GetHostName()
    $key = 'HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters'
    $suffix = [Microsoft.Win32.Registry]::GetValue($key, 'Domain', $null)
    if ($suffix -and -not $name.Contains('.')) {
        $name = "$name.$suffix"
    }
    $name
}

Function Get-HostStartTime {
    <#
    .SYNOPSIS
    When this host last started, or came back from a fast start-up or hibernation; null if that can't be told.
    #>
    # Windows' own boot time is that of the last full start: with fast start-up, the default on clients, days ago.
    # The kernel writes 27 (the boot type was ...) for every kind of start.
    $query = "*[System[Provider[@Name='Microsoft-Windows-Kernel-Boot'] and EventID=27]]"
    $time = Get-EventLogTime -Name System -PathType LogName -Query $query -Newest
    if ($null -eq $time) {
        try {
            $time = (Get-CimInstance -ClassName Win32_OperatingSystem -Property LastBootUpTime).LastBootUpTime
        }
        catch {
            # WMI may be closed to an account that may read the event log.
            $time = $null
        }
    }
    $time
}

$option = 'log_name'
$name = $logName
$pathType = [System.Diagnostics.Eventing.Reader.PathType]::LogName
if ($path) {
    $option = 'path'
    $name = $path
    $pathType = [System.Diagnostics.Eventing.Reader.PathType]::FilePath
}
$forwarded = -not $path -and $logName -eq 'ForwardedEvents'

if (-not $name) {
    $module.FailJson("${option}: the name is empty; name an event log, such as Application, or a log file with path")
}
if ($eventIds.Count -eq 0 -or $eventIds.Count -gt 16 -or $eventIds[0] -lt 0 -or $eventIds[-1] -gt 65535) {
    $module.FailJson('event_ids: between one and 16 ids from 0 to 65535 are possible, as Windows limits a query')
}
if ($maxEvents -lt 1) {
    $module.FailJson("max_events: $maxEvents is too small; it has to be 1 or more")
}
if ($null -ne $afterRecordId -and $afterRecordId -lt 0) {
    $module.FailJson("after_record_id: $afterRecordId is not a record id; it has to be 0 or more")
}
if ($null -ne $afterRecordId -and $forwarded) {
    $module.FailJson(
        'after_record_id: not possible for ForwardedEvents, because forwarded events keep the record ids of the ' +
        'hosts they come from, which repeat and jump; use since')
}
$sinceTime = $null
if ($null -ne $since -and "$since" -ne '') {
    $sinceTime = ConvertTo-SinceTime -Value $since -Now $now
    if ($null -eq $sinceTime) {
        $module.FailJson(
            "since: '$since' is neither a duration, such as 90m, 24h, 7d or PT24H, nor an ISO 8601 time, such as " +
            '2026-11-20T08:00:00Z')
    }
}

$module.Result.host.name = Get-HostName
$startTime = Get-HostStartTime
if ($null -ne $startTime) {
    $module.Result.host.start_time = ConvertTo-IsoTime $startTime
}

$log = Get-EventLogState -Name $name -PathType $pathType
$module.Result.log = $log

$readParams = @{
    Name = $name
    PathType = $pathType
    Query = Get-EnrolmentQuery -EventId $eventIds -Since $sinceTime -AfterRecordId $afterRecordId
    MaxEvents = $maxEvents
    Computer = $computers
    Group = $group
    IncludeMessage = $includeMessage
}
try {
    $read = Read-EnrolmentEvent @readParams
}
catch {
    $cause = $_.Exception.GetBaseException()
    $missing = $cause -is [System.Diagnostics.Eventing.Reader.EventLogNotFoundException]
    if (-not $missing -or $log.enabled -ne $false) {
        if ($missing) {
            $log.exists = $false
        }
        $module.FailJson((Format-EventLogError -Option $option -Name $name -Exception $cause), $_)
    }
    # A log that was never enabled is known to the system and has no file yet.
    $read = @{ events = @(); truncated = $false; damage = $null }
}

$module.Result.events = $read.events
$module.Result.truncated = $read.truncated
if ($read.damage) {
    $module.Warn("${option}: '$name': $($read.damage)")
}
if (-not $forwarded) {
    $lastRecordId = $afterRecordId
    foreach ($item in $read.events) {
        if ($item.record_id -gt $lastRecordId) {
            $lastRecordId = $item.record_id
        }
    }
    $module.Result.last_record_id = $lastRecordId
}

if ($null -ne $log.oldest_record) {
    $oldestTime = Get-EventLogTime -Name $name -PathType $pathType
    if ($null -ne $oldestTime) {
        $oldestTime = $oldestTime.ToUniversalTime()
        $log.oldest_time = ConvertTo-IsoTime $oldestTime
    }
    if ($null -ne $afterRecordId) {
        $replaced = $null -ne $log.record_count -and $afterRecordId -ge $log.oldest_record + $log.record_count
        if ($replaced) {
            $module.Warn(
                "after_record_id: $afterRecordId is beyond the newest record of '$name', so the log was replaced " +
                'since; read it again without after_record_id')
        }
        $log.rolled_over = $replaced -or $log.oldest_record -gt $afterRecordId + 1
    }
    elseif ($null -ne $sinceTime) {
        if ($null -ne $oldestTime) {
            $log.rolled_over = $oldestTime -gt $sinceTime -and $log.oldest_record -gt 1
        }
    }
    elseif (-not $path) {
        $log.rolled_over = $log.oldest_record -gt 1
    }
}

$module.ExitJson()
