# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Starts the MDM client's SCEP enrolment for one profile of the device, as the client itself does.

Function Start-ScepMdmEnrolment {
    <#
    .SYNOPSIS
    Runs dmcertinst.exe for a profile and waits for its end: started, program, exit_code, duration_ms, detail (a sentence).
    .PARAMETER ProfileId
    The profile's id, without quotes, backslashes and control characters.
    .PARAMETER Timeout
    Seconds to wait; the program goes on after that, as long as the logon of this process lasts.
    #>
    param ([Parameter(Mandatory = $true)][string]$ProfileId, [double]$Timeout = 120)

    # A 32-bit process sees the 64-bit System32 under this name.
    $folder = $(if ([Environment]::Is64BitOperatingSystem -and -not [Environment]::Is64BitProcess) { 'Sysnative' } else { 'System32' })
    $program = [System.IO.Path]::Combine($env:SystemRoot, $folder, 'dmcertinst.exe')
    $result = [ordered]@{ started = $false; program = $program; exit_code = $null; duration_ms = $null; detail = $null }
    if (-not [System.IO.File]::Exists($program)) {
        $result.detail = "There is no $program on this host, so the enrolment was not started: it comes with the next sync of MDM."
        return $result
    }
    $start = New-Object -TypeName System.Diagnostics.ProcessStartInfo
    $start.FileName = $program
    $start.Arguments = '-s -k "Software\Microsoft\SCEP\MS DM Server\{0}\Install" -h HKLM -t "{0}"' -f $ProfileId
    $start.UseShellExecute = $false
    $start.CreateNoWindow = $true
    # What it prints must not get between what this process prints.
    $start.RedirectStandardOutput = $true
    $start.RedirectStandardError = $true
    $watch = [System.Diagnostics.Stopwatch]::StartNew()
    try {
        $process = [System.Diagnostics.Process]::Start($start)
    }
    catch [System.ComponentModel.Win32Exception], [System.InvalidOperationException], [System.IO.IOException] {
        $result.detail = "$program could not be started: $($_.Exception.GetBaseException().Message)"
        return $result
    }
    try {
        $result.started = $true
        $reading = @($process.StandardOutput.ReadToEndAsync(), $process.StandardError.ReadToEndAsync())
        if ($process.WaitForExit([int]($Timeout * 1000))) {
            $result.exit_code = $process.ExitCode
            $result.detail = "dmcertinst.exe ended with $($process.ExitCode): whether a certificate came of it, event 86, 87 or 88 and the profile's status say."
        }
        else {
            $result.detail = "dmcertinst.exe runs for more than $Timeout s: whether a certificate comes of it, event 86, 87 or 88 and the profile's status say."
        }
        $null = $reading
    }
    finally {
        $process.Dispose()
    }
    $result.duration_ms = $watch.ElapsedMilliseconds
    $result
}

Export-ModuleMember -Function Start-ScepMdmEnrolment
