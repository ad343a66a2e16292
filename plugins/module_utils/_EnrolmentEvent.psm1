# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Reads the events of SCEP enrolment from an event log or a log file.

#AnsibleRequires -PowerShell ._EventLog

$script:Provider = 'Microsoft-Windows-CertificateServicesClient-CertEnroll'
$script:FieldNames = @('Context', 'Url', 'MessageText', 'Method', 'Stage', 'ErrorCode')
# What is read of an event, in the order in which Read-EventOnce takes it apart.
$script:Paths = [string[]]@(
    foreach ($field in $script:FieldNames) { "Event/EventData/Data[@Name='$field']" }
    'Event/System/EventID'
    'Event/System/EventRecordID'
    'Event/System/Level'
    'Event/System/Channel'
    'Event/System/Computer'
    'Event/System/Provider/@Name'
    'Event/System/TimeCreated/@SystemTime'
    'Event/System/Security/@UserID'
)

# A batch of more than about 2 MB fails on Windows before late versions of 10 and 11, and its events are lost; an
# event has at most 64 KB, the default batch is 64.
$script:BatchSize = 30
$script:ReadAttempts = 3

Function Get-EnrolmentQuery {
    <#
    .SYNOPSIS
    The XPath query for enrolment events. Windows takes about 20 terms a query, so at most 16 ids.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param (
        [Parameter(Mandatory)]
        [int[]]
        $EventId,

        [AllowNull()]
        [Nullable[DateTime]]
        $Since,

        [AllowNull()]
        [Nullable[int]]
        $AfterRecordId
    )

    $ids = foreach ($id in $EventId) { "EventID=$id" }
    $terms = @(
        "Provider[@Name='$script:Provider']"
        "($($ids -join ' or '))"
        if ($null -ne $Since) { "TimeCreated[@SystemTime>='$(ConvertTo-IsoTime $Since)']" }
        if ($null -ne $AfterRecordId) { "EventRecordID>$AfterRecordId" }
    )
    "*[System[$($terms -join ' and ')]]"
}

Function Read-EnrolmentEvent {
    <#
    .SYNOPSIS
    Reads the newest events that a query finds, and starts again when the log changes under the reader.

    .OUTPUTS
    A hashtable: events (in log order), truncated, damage (a sentence, null if every event could be read).
    #>
    [CmdletBinding()]
    [OutputType([Hashtable])]
    param (
        [Parameter(Mandatory)]
        [string]
        $Name,

        [Parameter(Mandatory)]
        [System.Diagnostics.Eventing.Reader.PathType]
        $PathType,

        [Parameter(Mandatory)]
        [string]
        $Query,

        [Parameter(Mandatory)]
        [int]
        $MaxEvents,

        [AllowEmptyCollection()]
        [string[]]
        $Computer = @(),

        [switch]
        $Group,

        [switch]
        $IncludeMessage
    )

    for ($attempt = 1; $true; $attempt++) {
        try {
            return Read-EventOnce @PSBoundParameters
        }
        catch [System.Diagnostics.Eventing.Reader.EventLogReadingException] {
            # The log was cleared or rolled over meanwhile: what was read so far may be gone or come again.
            if ($attempt -ge $script:ReadAttempts) {
                throw
            }
        }
    }
}

Function Read-EventOnce {
    [CmdletBinding()]
    param ($Name, $PathType, $Query, $MaxEvents, $Computer, [switch]$Group, [switch]$IncludeMessage)

    # A name without a domain stands for that name in any domain; an event, too, may have the name without one.
    $wanted = [System.Collections.Generic.HashSet[string]]::new([StringComparer]::OrdinalIgnoreCase)
    $bare = [System.Collections.Generic.HashSet[string]]::new([StringComparer]::OrdinalIgnoreCase)
    foreach ($entry in $Computer) {
        $null = $wanted.Add($entry)
        $null = $bare.Add($entry.Split('.')[0])
    }

    $fields = $script:FieldNames
    $utf8 = [System.Text.Encoding]::UTF8
    $found = [System.Collections.Generic.List[object]]::new()
    # A literal hashtable would take names that differ in case for one.
    $groups = [System.Collections.Hashtable]::new([StringComparer]::Ordinal)
    $count = 0
    $truncated = $false
    $unreadable = 0
    $damage = $null

    $logQuery = [System.Diagnostics.Eventing.Reader.EventLogQuery]::new($Name, $PathType, $Query)
    $logQuery.ReverseDirection = $true
    # All that is wanted of an event in one call; nothing is looked up by name or rendered as text.
    $selector = [System.Diagnostics.Eventing.Reader.EventLogPropertySelector]::new($script:Paths)
    $reader = [System.Diagnostics.Eventing.Reader.EventLogReader]::new($logQuery)
    try {
        $reader.BatchSize = $script:BatchSize
        while ($true) {
            try {
                $record = $reader.ReadEvent()
            }
            catch [System.Diagnostics.Eventing.Reader.EventLogInvalidDataException] {
                $damage = "reading stopped at damaged data, older events are missing ($(Format-Exception $_.Exception))"
                $truncated = $true
                break
            }
            # After null, ReadEvent throws.
            if ($null -eq $record) {
                break
            }
            try {
                $isRead = $true
                try {
                    $read = $record.GetPropertyValues($selector)
                }
                catch [System.Diagnostics.Eventing.Reader.EventLogException] {
                    $isRead = $false
                    $read = @($null) * 6 + @(
                        $record.Id, $record.RecordId, $record.Level, $record.LogName, $record.MachineName,
                        $record.ProviderName, $record.TimeCreated, $record.UserId)
                }
                $eventId = $read[6]
                $source = [string]$read[10]
                if ($wanted.Count -and -not $wanted.Contains($source)) {
                    $label = $source.Split('.')[0]
                    $other = $wanted
                    if ($label -eq $source) { $other = $bare }
                    if (-not $other.Contains($label)) {
                        continue
                    }
                }
                if ($count -ge $MaxEvents) {
                    $truncated = $true
                    break
                }
                $count++

                $data = @{}
                for ($i = 0; $i -lt 6; $i++) {
                    if ($null -ne $read[$i]) {
                        # Unpaired surrogates can't be written in UTF-8: they become U+FFFD here, not somewhere on the way.
                        $data[$fields[$i]] = $utf8.GetString($utf8.GetBytes([string]$read[$i]))
                    }
                }
                $values = $null
                # 88, success, has no ErrorCode.
                if ($isRead -and ($data.Count -lt 5 -or ($data.Count -eq 5 -and $eventId -ne 88))) {
                    try {
                        $values = Get-UnnamedValue -Record $record -Data $data
                    }
                    catch [System.Diagnostics.Eventing.Reader.EventLogException], [System.Xml.XmlException] {
                        $isRead = $false
                    }
                }
                if (-not $isRead) { $unreadable++ }

                $time = $read[12]
                if ($null -ne $time) { $time = $time.ToUniversalTime().ToString('o') }
                if ($Group) {
                    $text = [string]$data['MessageText']
                    if ($text.Contains('HTTP/')) { $text = Get-StableText $text }
                    $verb = ([string]$data['Method']).Split('(')[0]
                    $key = $eventId, $source, $read[9], $read[13], $data['Context'], $data['Url'], $text, $verb,
                    $data['Stage'], $data['ErrorCode'] -join "`0"
                    foreach ($value in $values) { $key += "`0" + (Get-StableText $value) }
                    $first = $groups[$key]
                    if ($null -ne $first) {
                        # Reading goes from new to old, so the sample stays; a forwarded event may be out of order.
                        $first['count']++
                        if ([string]::CompareOrdinal($time, $first['first_seen']) -lt 0) { $first['first_seen'] = $time }
                        if ([string]::CompareOrdinal($time, $first['last_seen']) -gt 0) { $first['last_seen'] = $time }
                        continue
                    }
                }

                $item = @{
                    record_id = $read[7]
                    event_id = $eventId
                    log = $read[9]
                    computer = $utf8.GetString($utf8.GetBytes($source))
                    provider = $read[11]
                    level = $read[8]
                    time_created = $time
                    user_sid = $read[13]
                    data = $data
                    message = $null
                }
                if ($null -ne $item['user_sid']) { $item['user_sid'] = $item['user_sid'].Value }
                if ($IncludeMessage) { $item['message'] = Get-EventMessage $record }
                if ($null -ne $values) { $item['values'] = $values }
                if ($Group) {
                    $item['count'] = 1
                    $item['first_seen'] = $time
                    $item['last_seen'] = $time
                    $groups[$key] = $item
                }
                $found.Add($item)
            }
            finally {
                $record.Dispose()
            }
        }
    }
    finally {
        $reader.Dispose()
        $selector.Dispose()
    }

    if ($unreadable) {
        $lost = "$unreadable event(s) came without their fields, which could not be read"
        $damage = if ($damage) { "$damage; $lost" } else { $lost }
    }
    $found.Reverse()
    @{ events = $found; truncated = $truncated; damage = $damage }
}

Function Get-EventMessage {
    <#
    .SYNOPSIS
    The rendered text in this host's language; null where the provider or its message is not known here.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param (
        [Parameter(Mandatory)]
        [System.Diagnostics.Eventing.Reader.EventRecord]
        $Record
    )

    try {
        $text = $Record.FormatDescription()
    }
    catch [System.Diagnostics.Eventing.Reader.EventLogException] {
        $text = $null
    }
    if ($null -eq $text) { return $null }
    ConvertTo-EventText $text
}

Function Get-UnnamedValue {
    <#
    .SYNOPSIS
    The values of an event's Data elements that have no name, as text. Adds to Data, as null, the fields that the event
    names without giving a value.

    .DESCRIPTION
    Properties are by position and without names, so the names come from the XML. The values do not: the XML may hold
    control characters, which no XML reader takes.

    .OUTPUTS
    A list of strings, or null if the event has no such element.
    #>
    [CmdletBinding()]
    param (
        [Parameter(Mandatory)]
        [System.Diagnostics.Eventing.Reader.EventRecord]
        $Record,

        [Parameter(Mandatory)]
        [Hashtable]
        $Data
    )

    $xml = [regex]::Replace($Record.ToXml(), '[^\t\n\r\x20-\uD7FF\uE000-\uFFFD]', '?')
    $settings = [System.Xml.XmlReaderSettings]::new()
    $settings.DtdProcessing = [System.Xml.DtdProcessing]::Prohibit
    $settings.XmlResolver = $null
    $properties = $Record.Properties
    $values = [System.Collections.Generic.List[string]]::new()
    $section = $null
    $position = 0
    $reader = [System.Xml.XmlReader]::Create([System.IO.StringReader]::new($xml), $settings)
    try {
        while ($reader.Read()) {
            if ($reader.NodeType -ne [System.Xml.XmlNodeType]::Element) {
                continue
            }
            if ($reader.Depth -eq 1) {
                $section = $reader.LocalName
            }
            elseif ($reader.Depth -eq 2 -and $section -eq 'EventData' -and $reader.LocalName -eq 'Data') {
                $field = $reader.GetAttribute('Name')
                # Assigned from an if, an array of bytes would be taken apart.
                $value = $null
                if ($position -lt $properties.Count) { $value = $properties[$position].Value }
                if ([string]::IsNullOrEmpty($field)) {
                    $values.Add((ConvertTo-EventText $value))
                }
                elseif ($null -eq $value -and $script:FieldNames -ccontains $field) {
                    $Data[$field] = $null
                }
                $position++
            }
        }
    }
    finally {
        $reader.Dispose()
    }
    if ($values.Count) {
        , $values
    }
}

Function ConvertTo-EventText {
    <#
    .SYNOPSIS
    A property of an event as text that every encoding has, the same in every culture: null is empty, bytes are
    hexadecimal, times are UTC.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param (
        [Parameter(Mandatory)]
        [AllowNull()]
        [object]
        $Value
    )

    if ($Value -is [byte[]]) { return [BitConverter]::ToString($Value).Replace('-', '') }
    if ($Value -is [DateTime]) { return ConvertTo-IsoTime $Value }
    if ($Value -isnot [string]) { return [Convert]::ToString($Value, [CultureInfo]::InvariantCulture) }
    [System.Text.Encoding]::UTF8.GetString([System.Text.Encoding]::UTF8.GetBytes($Value))
}

Function Get-StableText {
    <#
    .SYNOPSIS
    A value without what differs between two failures of the same kind: the duration of a method such as GET(47ms),
    and the headers of the server's answer, with its time.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param (
        [Parameter(Mandatory)]
        [AllowEmptyString()]
        [string]
        $Text
    )

    if ($Text -cmatch '\A([A-Za-z]+)\([0-9]+ms\)\z') {
        return $Matches[1]
    }
    $answer = $Text.IndexOf('HTTP/')
    if ($answer -lt 0) {
        return $Text
    }
    # Only below the status line: a line of that form above it is the failed step and its reason.
    $headers = [regex]::new('^[A-Za-z0-9-]+:.*\n?', [System.Text.RegularExpressions.RegexOptions]::Multiline)
    $headers.Replace($Text, '', -1, $answer)
}

Export-ModuleMember -Function @(
    'Get-EnrolmentQuery'
    'Read-EnrolmentEvent'
)
