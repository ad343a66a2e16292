# Refuses PowerShell that Windows PowerShell 5.1 does not have, over the engine's own parser, and what the house does without.
# usage: pwsh -NoProfile -File check.ps1 FILE_OR_FOLDER…
# Prints "file:line: what is wrong; what to write instead"; the exit code is 1 if there is anything, 2 if there is nothing to check.
param([Parameter(Mandatory = $true, ValueFromRemainingArguments = $true)] [string[]] $Path)
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

. "$PSScriptRoot/syntax.ps1"
. "$PSScriptRoot/commands.ps1"
. "$PSScriptRoot/types.ps1"
$Rules = Import-PowerShellDataFile -LiteralPath "$PSScriptRoot/rules.psd1"
$Cmdlets = Read-Cmdlet -File "$PSScriptRoot/commands.txt"
$Types = Read-Type -File "$PSScriptRoot/types.txt"
$InstanceMethods = Get-InstanceMethod -Types $Types -Extra $Rules.Methods

# Notes a finding at a node or token of the file that is being checked.
function Deny {
    param([Parameter(Mandatory = $true)] $At, [Parameter(Mandatory = $true)] [string] $What, [string] $Instead)

    $text = if ($Instead) { "$What; instead: $Instead" } else { $What }
    $Findings.Add([PSCustomObject]@{ Line = $At.Extent.StartLineNumber; Text = $text })
}

# The functions of one module_utils file that those who require it see, with their parameters (@{ name = parameters }), and
# those of the files that it requires in turn.
function Get-UtilityFunction {
    param([string] $Name, [string] $From, [hashtable] $Seen)

    if ($Seen.ContainsKey($Name)) { return @{} }
    $Seen[$Name] = $true
    for ($folder = [System.IO.Path]::GetDirectoryName($From); $folder; $folder = [System.IO.Path]::GetDirectoryName($folder)) {
        foreach ($candidate in "$folder/$Name.psm1", "$folder/module_utils/$Name.psm1") {
            if (-not [System.IO.File]::Exists($candidate)) { continue }
            $tokens = $errors = $null
            $ast = [System.Management.Automation.Language.Parser]::ParseFile($candidate, [ref]$tokens, [ref]$errors)
            $functions = Get-ExportedFunction -Ast $ast
            foreach ($required in Get-Requirement -Tokens $tokens -Kind 'PowerShell') {
                $functions += Get-NewEntry -Of (Get-UtilityFunction -Name $required -From $candidate -Seen $Seen) -Beside $functions
            }
            return $functions
        }
    }
    return $null
}

function Test-File {
    param([string] $File)

    $tokens = $errors = $null
    $ast = [System.Management.Automation.Language.Parser]::ParseFile($File, [ref]$tokens, [ref]$errors)
    foreach ($failure in $errors) { Deny -At $failure -What "does not parse: $($failure.Message)" }

    $nodes = $ast.FindAll({ $true }, $true)
    $functions = Get-OwnFunction -Nodes $nodes
    $seen = @{}
    foreach ($name in Get-Requirement -Tokens $tokens -Kind 'PowerShell') {
        $found = Get-UtilityFunction -Name $name -From $File -Seen $seen
        if ($null -eq $found) { Deny -At $ast -What "requires $name, and there is no module_utils/$name.psm1" }
        else { $functions += Get-NewEntry -Of $found -Beside $functions }
    }
    $known = Get-KnownType -Nodes $nodes -Libraries (Get-Requirement -Tokens $tokens -Kind 'CSharpUtil')

    foreach ($token in $tokens) {
        if ($token -is [System.Management.Automation.Language.NumberToken] -or $token -is [System.Management.Automation.Language.StringToken]) { Test-Token -Token $token }
    }
    Test-LineStart -Tokens $tokens
    foreach ($node in $nodes) {
        $kind = $node.GetType().Name
        if ($SyntaxTests.ContainsKey($kind)) { & $SyntaxTests[$kind] $node }
        switch ($kind) {
            'CommandAst' { Test-Command -Node $node -Functions $functions -Nodes $nodes }
            'TypeExpressionAst' { Test-TypeName -At $node -Name $node.TypeName -Known $known }
            'TypeConstraintAst' { Test-TypeName -At $node -Name $node.TypeName -Known $known }
            'AttributeAst' { Test-Attribute -Node $node }
            'MemberExpressionAst' { Test-Member -Node $node -Known $known }
            'InvokeMemberExpressionAst' { Test-Member -Node $node -Known $known }
        }
    }
}

$files = @(foreach ($item in $Path) {
        if ([System.IO.File]::Exists($item)) { $item }
        elseif ([System.IO.Directory]::Exists($item)) {
            [System.IO.Directory]::EnumerateFiles($item, '*.ps*1', [System.IO.SearchOption]::AllDirectories) | Where-Object { $_ -match '\.psm?1$' }
        }
    }) | Sort-Object
$count = 0
foreach ($file in $files) {
    $Findings = [System.Collections.Generic.List[object]]::new()
    Test-File -File ([System.IO.Path]::GetFullPath($file))
    $count += $Findings.Count
    $Findings | Sort-Object -Property Line, Text -Unique | ForEach-Object { '{0}:{1}: {2}' -f $file, $_.Line, $_.Text }
}
if (-not $files) { "There is no PowerShell in $($Path -join ', ')."; exit 2 }
if ($count) { exit 1 }
"$(@($files).Count) PowerShell files hold nothing that Windows PowerShell 5.1 lacks."
