# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What Windows says of an event log, through System.Diagnostics.Eventing.Reader, which Windows PowerShell 5.1 and
# PowerShell 7 both have. An exception's message is in the host's language, so its type and HRESULT stand beside it.

Function ConvertTo-IsoTime {
    <#
    .SYNOPSIS
    ISO 8601 in UTC, with seven decimals whatever the culture, so that times compare as text.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param (
        [Parameter(Mandatory)]
        [DateTime]
        $Time
    )

    $Time.ToUniversalTime().ToString('o', [CultureInfo]::InvariantCulture)
}

Function Format-EventLogError {
    <#
    .SYNOPSIS
    A sentence that names the option and says what to do, then the exception's type, HRESULT and message.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param (
        [Parameter(Mandatory)]
        [string]
        $Option,

        [Parameter(Mandatory)]
        [string]
        $Name,

        [Parameter(Mandatory)]
        [Exception]
        $Exception
    )

    $cause = $Exception.GetBaseException()
    $text = if ($cause -is [System.Diagnostics.Eventing.Reader.EventLogNotFoundException]) {
        if ($Option -eq 'path') {
            "this host has no log file '$Name'; give the whole path of an .evtx file on the host itself"
        }
        else {
            "this host has no event log '$Name'; give the log's full name, as 'wevtutil el' lists it on the host"
        }
    }
    elseif ($cause -is [UnauthorizedAccessException]) {
        "no right to read '$Name'; the account needs to be a member of the group Event Log Readers (S-1-5-32-573) " +
        'or an administrator of the host, and to have the right to read the file where one is named'
    }
    elseif ($cause -is [System.Diagnostics.Eventing.Reader.EventLogReadingException]) {
        "'$Name' was cleared or rolled over each time that it was read; try again, " +
        'with a later since or a smaller max_events'
    }
    elseif ($cause -is [System.Diagnostics.Eventing.Reader.EventLogInvalidDataException]) {
        "'$Name' holds data that Windows can't read; it may be damaged"
    }
    else {
        "'$Name' can't be read"
    }
    "${Option}: $text ($(Format-Exception $cause))"
}

Function Format-Exception {
    [CmdletBinding()]
    [OutputType([string])]
    param (
        [Parameter(Mandatory)]
        [Exception]
        $Exception
    )

    $cause = $Exception.GetBaseException()
    '{0} 0x{1:x8}: {2}' -f $cause.GetType().Name, $cause.HResult, $cause.Message
}

Function Get-EventLogState {
    <#
    .SYNOPSIS
    What the system says of a log or a log file. What it does not say, or not to this account, is null, with a note.

    .OUTPUTS
    A hashtable: name, exists, enabled, size and maximum_size (bytes), record_count, oldest_record (number), note.
    #>
    [CmdletBinding()]
    [OutputType([Hashtable])]
    param (
        [Parameter(Mandatory)]
        [string]
        $Name,

        [Parameter(Mandatory)]
        [System.Diagnostics.Eventing.Reader.PathType]
        $PathType
    )

    $state = @{
        name = $Name
        exists = $true
        enabled = $null
        size = $null
        maximum_size = $null
        record_count = $null
        oldest_record = $null
        oldest_time = $null
        rolled_over = $null
        note = $null
    }
    $notes = @(
        if ($PathType -eq 'LogName') {
            # Windows checks the right to read the configuration apart from the right to read the log.
            try {
                $config = [System.Diagnostics.Eventing.Reader.EventLogConfiguration]::new($Name)
                try {
                    $state.enabled = $config.IsEnabled
                    $state.maximum_size = $config.MaximumSizeInBytes
                }
                finally {
                    $config.Dispose()
                }
            }
            catch {
                if ($_.Exception.GetBaseException() -is [System.Diagnostics.Eventing.Reader.EventLogNotFoundException]) {
                    $state.exists = $false
                }
                "the log's settings could not be read ($(Format-Exception $_.Exception))"
            }
        }
        try {
            $session = [System.Diagnostics.Eventing.Reader.EventLogSession]::GlobalSession
            $info = $session.GetLogInformation($Name, $PathType)
            $state.size = $info.FileSize
            $state.record_count = $info.RecordCount
            if ($info.RecordCount -ne 0) {
                $state.oldest_record = $info.OldestRecordNumber
            }
            if ($info.IsLogFull) {
                'the log is full and does not overwrite: new events are lost'
            }
        }
        catch {
            "the log's size and oldest record could not be read ($(Format-Exception $_.Exception))"
        }
    )
    if ($notes) {
        $state.note = $notes -join '; '
    }
    $state
}

Function Get-EventLogTime {
    <#
    .SYNOPSIS
    The time of the oldest event that a query finds, or of the newest; null if there is none or it can't be read.
    #>
    [CmdletBinding()]
    [OutputType([DateTime])]
    param (
        [Parameter(Mandatory)]
        [string]
        $Name,

        [Parameter(Mandatory)]
        [System.Diagnostics.Eventing.Reader.PathType]
        $PathType,

        [string]
        $Query = '*',

        [switch]
        $Newest
    )

    $time = $null
    try {
        $logQuery = [System.Diagnostics.Eventing.Reader.EventLogQuery]::new($Name, $PathType, $Query)
        $logQuery.ReverseDirection = $Newest.IsPresent
        $reader = [System.Diagnostics.Eventing.Reader.EventLogReader]::new($logQuery)
        try {
            $reader.BatchSize = 1
            $record = $reader.ReadEvent()
            if ($null -ne $record) {
                $time = $record.TimeCreated
                $record.Dispose()
            }
        }
        finally {
            $reader.Dispose()
        }
    }
    catch {
        # The caller has a use for null, and reading the log itself reports what is wrong with it.
        $time = $null
    }
    $time
}

Export-ModuleMember -Function @(
    'ConvertTo-IsoTime'
    'Format-EventLogError'
    'Format-Exception'
    'Get-EventLogState'
    'Get-EventLogTime'
)
