# Runs a PowerShell module of this collection again and again in one process, so that Ansible.Basic is compiled once.
# Standard input: one JSON object a line, {"home": the host's folder, "args": the module's options}. Standard output:
# the module's JSON result, one line for each.
param (
    [Parameter(Mandatory)] [string] $Module,
    [Parameter(Mandatory)] [string] $Utilities,  # paths, with a colon between two
    [Parameter(Mandatory)] [string] $Basic,
    [Parameter(Mandatory)] [string] $AddType
)

$ErrorActionPreference = 'Stop'
[Console]::InputEncoding = [Console]::OutputEncoding = [System.Text.UTF8Encoding]::new()

Function ConvertTo-Argument {
    # As Ansible's own wrapper does it, which is why an ISO time arrives as a DateTime on PowerShell 7.
    param ([object] $Value)

    if ($Value -is [System.Management.Automation.PSCustomObject]) {
        $table = @{}
        foreach ($property in $Value.PSObject.Properties) { $table[$property.Name] = ConvertTo-Argument $property.Value }
        return $table
    }
    if ($Value -is [array]) {
        return , @(foreach ($item in $Value) { ConvertTo-Argument $item })
    }
    $Value
}

Function Find-Nothing {
    # Where a result holds the "no output" of a statement in place of null. Windows PowerShell writes that as {}.
    param ([object] $Value, [string] $Name)

    $keys = if ($Value -is [System.Collections.IDictionary]) { @($Value.Keys) }
    elseif ($Value -is [System.Collections.IList]) { if ($Value.Count) { 0..($Value.Count - 1) } }
    foreach ($key in $keys) {
        $item = $Value[$key]
        if ($null -eq $item -and @($item).Count -eq 0) { "$Name.$key" }
        else { Find-Nothing $item "$Name.$key" }
    }
}

$typeModule = [scriptblock]::Create([System.IO.File]::ReadAllText($AddType))
New-Module -Name Ansible.ModuleUtils.AddType -ScriptBlock $typeModule | Import-Module
Add-CSharpType -References @([System.IO.File]::ReadAllText($Basic))
# Set in each runspace: called from another one than its own, a script block waits half a second.
$handlers = {
    [Ansible.Basic.AnsibleModule]::Exit = { param ([int] $Code) throw "exit $Code" }
    [Ansible.Basic.AnsibleModule]::WriteLine = { param ([string] $Line) $global:ModuleOutput = $Line }
}.ToString()

$code = [System.IO.File]::ReadAllText($Module)
$utils = @(foreach ($path in $Utilities.Split(':')) { [System.IO.File]::ReadAllText($path) })
while ($null -ne ($line = [Console]::In.ReadLine())) {
    $request = ConvertFrom-Json -InputObject $line
    [Environment]::SetEnvironmentVariable('HOME', $request.home)
    $shell = [PowerShell]::Create()
    try {
        $shell.Runspace.SessionStateProxy.SetVariable('ErrorActionPreference', 'Stop')
        $arguments = @{ Name = 'complex_args'; Value = (ConvertTo-Argument $request.args); Scope = 'Global' }
        $null = $shell.AddCommand('Set-Variable').AddParameters($arguments).AddStatement()
        foreach ($util in $utils) {
            $import = 'param ($Text) New-Module -ScriptBlock ([scriptblock]::Create($Text)) | ' +
            'Import-Module -Scope Global'
            $null = $shell.AddScript($import).AddArgument($util).AddStatement()
        }
        $null = $shell.AddScript($handlers).AddStatement().AddScript($code)
        $problem = try { $null = $shell.Invoke() } catch { $_.Exception.GetBaseException().Message }
        $output = $shell.Runspace.SessionStateProxy.GetVariable('ModuleOutput')
        $running = $shell.Runspace.SessionStateProxy.GetVariable('module')
        $nothing = if ($running) { @(Find-Nothing $running.Result 'result') }
        if ($nothing) { $output = ConvertTo-Json -Compress @{ failed = $true; unhandled = "no output, not null: $nothing" } }
        if (-not $output) {
            $output = ConvertTo-Json -Compress @{ failed = $true; unhandled = "$problem $($shell.Streams.Error)" }
        }
        [Console]::Out.WriteLine($output)
    }
    finally {
        $shell.Dispose()
    }
}
