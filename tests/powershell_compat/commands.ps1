# Cmdlets, functions and their parameters. Dot-sourced by check.ps1.

# What every cmdlet of 5.1 and 7 has.
$CommonParameters = @(
    'Debug', 'ErrorAction', 'ErrorVariable', 'InformationAction', 'InformationVariable', 'OutBuffer', 'OutVariable', 'PipelineVariable', 'Verbose',
    'WarningAction', 'WarningVariable')

function Read-Cmdlet {
    param([string] $File)

    $cmdlets = @{}
    foreach ($line in [System.IO.File]::ReadAllLines($File)) {
        if ($line.StartsWith('#')) { continue }
        $name, $where, $both, $old, $new = $line.Split('|')
        $cmdlets[$name] = [PSCustomObject]@{ Where = $where; Both = $both.Split(' '); Old = $old.Split(' '); New = $new.Split(' ') }
    }
    return $cmdlets
}

function Get-NewEntry {
    param([hashtable] $Of, [hashtable] $Beside)

    $new = @{}
    foreach ($key in $Of.Keys) { if (-not $Beside.ContainsKey($key)) { $new[$key] = $Of[$key] } }
    return $new
}

# The functions that a file defines, @{ name = names of its parameters }.
function Get-OwnFunction {
    param($Nodes)

    $functions = @{}
    foreach ($node in $Nodes) {
        if ($node -isnot [System.Management.Automation.Language.FunctionDefinitionAst]) { continue }
        $parameters = if ($node.Parameters) { $node.Parameters } elseif ($node.Body.ParamBlock) { $node.Body.ParamBlock.Parameters } else { @() }
        $functions[$node.Name] = @($parameters | ForEach-Object { $_.Name.VariablePath.UserPath })
        if ($node.Body.ParamBlock -and "$($node.Body.ParamBlock.Attributes)" -match 'SupportsShouldProcess') { $functions[$node.Name] += 'Confirm', 'WhatIf' }
    }
    return $functions
}

# Those of them that Export-ModuleMember lets out: all where it is not called with plain names.
function Get-ExportedFunction {
    param($Ast)

    $nodes = $Ast.FindAll({ $true }, $true)
    $functions = Get-OwnFunction -Nodes $nodes
    $calls = @($nodes | Where-Object { $_ -is [System.Management.Automation.Language.CommandAst] -and $_.GetCommandName() -eq 'Export-ModuleMember' })
    if (-not $calls) { return $functions }
    $named = @($calls | ForEach-Object { $_.CommandElements } | Select-Object -Skip 1)
    if (@($named | Where-Object { $_ -is [System.Management.Automation.Language.VariableExpressionAst] }).Count) { return $functions }
    $names = @($named | ForEach-Object { $_.FindAll({ $args[0] -is [System.Management.Automation.Language.StringConstantExpressionAst] }, $true) } | ForEach-Object { $_.Value })
    if ($names -contains '*') { return $functions }
    $exported = @{}
    foreach ($name in $functions.Keys) { if ($name -in $names) { $exported[$name] = $functions[$name] } }
    return $exported
}

# What the comments #AnsibleRequires and #Requires -Module ask for: the last part of a module_utils path, the whole name of a C# library.
function Get-Requirement {
    param($Tokens, [string] $Kind)

    foreach ($token in $Tokens) {
        if ($token.Kind -ne 'Comment') { continue }
        if ($token.Text -match "^#\s*AnsibleRequires\s+-$Kind\s+(\S+)" -or ($Kind -eq 'PowerShell' -and $token.Text -match '^#\s*Requires\s+-Modules?\s+(Ansible\.ModuleUtils\.\S+)')) {
            if ($Kind -eq 'PowerShell') { $Matches[1].Split('.')[-1] } else { $Matches[1] }
        }
    }
}

function Test-Command {
    param($Node, [hashtable] $Functions, $Nodes)

    foreach ($element in $Node.CommandElements) {
        $value = if ($element.PSObject.Properties['Value']) { "$($element.Value)" } else { '' }
        $program = [regex]::Match($value, '^(?<path>.*[\\/])?(?<name>\w+)(?<extension>\.exe)?$')
        $run = $element -eq $Node.CommandElements[0] -or $program.Groups['path'].Success -or $program.Groups['extension'].Success
        if ($run -and $program.Groups['name'].Value -in $Rules.Tools) {
            Deny -At $element -What "$($program.Groups['name'].Value) answers in Windows' language" -Instead 'the API behind it, a CIM class or the registry'
            return
        }
    }
    $name = $Node.GetCommandName()
    if (-not $name) { return }
    $name = $name.Split('\')[-1]
    if ($name -in $Rules.Programs) { return }
    if ($Functions.ContainsKey($name)) {
        foreach ($parameter in Get-CommandParameter -Node $Node -Nodes $Nodes) {
            if ($parameter.Name -notin $Functions[$name] -and $parameter.Name -notin $CommonParameters) { Deny -At $parameter -What "the function $name has no parameter -$($parameter.Name)" }
        }
        return
    }
    $cmdlet = $Cmdlets[$name]
    if (-not $cmdlet) { Deny-UnknownCommand -Node $Node -Name $name; return }
    if ($name -in $Rules.RefusedCommands) { Deny -At $Node -What "$name is not for a module" -Instead $Rules.Instead[$name]; return }
    if ($cmdlet.Where -eq '7') { Deny -At $Node -What "Windows PowerShell 5.1 has no $name" -Instead $Rules.Instead[$name]; return }
    if ($cmdlet.Where -eq '5.1') { Deny -At $Node -What "PowerShell 7 has no $name" -Instead $Rules.Instead[$name]; return }

    $given = @(Get-CommandParameter -Node $Node -Nodes $Nodes)
    foreach ($parameter in $given) { Test-Parameter -Parameter $parameter -Command $name -Cmdlet $cmdlet }
    $names = @($given | ForEach-Object { $_.Name })
    $splatted = @($Node.CommandElements | Where-Object { $_.PSObject.Properties['Splatted'] -and $_.Splatted }).Count -gt 0
    if ($splatted) { return }
    if ($name -in $Rules.Readers + $Rules.Writers -and 'Encoding' -notin $names) {
        Deny -At $Node -What "$name without -Encoding takes the system's code page or UTF-16 on 5.1 and UTF-8 on 7" -Instead '[System.IO.File]::ReadAllText or WriteAllText'
    }
    if ($name -in $Rules.NeedUseBasicParsing -and 'UseBasicParsing' -notin $names) { Deny -At $Node -What "$name without -UseBasicParsing starts Internet Explorer's parser on 5.1" -Instead '-UseBasicParsing' }
}

function Deny-UnknownCommand {
    param($Node, [string] $Name)

    $alias = Get-Alias -Name $Name -ErrorAction Ignore
    if ($alias) { Deny -At $Node -What "$Name is an alias" -Instead $alias.Definition; return }
    Deny -At $Node -What "$Name is no cmdlet of commands.txt, and no function of this file or of the module_utils that it requires" -Instead $Rules.Instead[$Name]
}

# The named parameters of a call, those of a splatted table among them: Name, Value (a node or $null), Extent.
function Get-CommandParameter {
    param($Node, $Nodes)

    $elements = $Node.CommandElements
    for ($index = 1; $index -lt $elements.Count; $index++) {
        $element = $elements[$index]
        if ($element -is [System.Management.Automation.Language.CommandParameterAst]) {
            $value = if ($element.Argument) { $element.Argument }
            elseif ($index + 1 -lt $elements.Count -and $elements[$index + 1] -isnot [System.Management.Automation.Language.CommandParameterAst]) { $elements[$index + 1] }
            [PSCustomObject]@{ Name = $element.ParameterName; Value = $value; Extent = $element.Extent }
        }
        elseif ($element.PSObject.Properties['Splatted'] -and $element.Splatted) {
            Get-SplattedParameter -Variable $element.VariablePath.UserPath -Nodes $Nodes
        }
    }
}

# From $table = @{ … } and $table.Name = …, wherever the file has them.
function Get-SplattedParameter {
    param([string] $Variable, $Nodes)

    foreach ($node in $Nodes) {
        if ($node -isnot [System.Management.Automation.Language.AssignmentStatementAst]) { continue }
        $left = $node.Left
        if ($left -is [System.Management.Automation.Language.MemberExpressionAst] -and $left.Expression.Extent.Text -eq "`$$Variable" -and $left.Member.PSObject.Properties['Value']) {
            [PSCustomObject]@{ Name = "$($left.Member.Value)"; Value = $null; Extent = $left.Extent }
        }
        elseif ($left.Extent.Text -eq "`$$Variable") {
            $table = $node.Right.Find({ $args[0] -is [System.Management.Automation.Language.HashtableAst] }, $false)
            if (-not $table -or $table.Extent.Text -ne $node.Right.Extent.Text) { continue }
            foreach ($pair in $table.KeyValuePairs) {
                if (-not $pair.Item1.PSObject.Properties['Value']) { continue }
                [PSCustomObject]@{ Name = "$($pair.Item1.Value)"; Value = $pair.Item2.Find({ $args[0] -is [System.Management.Automation.Language.StringConstantExpressionAst] }, $false); Extent = $pair.Item1.Extent }
            }
        }
    }
}

function Test-Parameter {
    param($Parameter, [string] $Command, $Cmdlet)

    $name = $Parameter.Name
    if ($name -in $Cmdlet.New) { Deny -At $Parameter -What "$Command has no -$name on Windows PowerShell 5.1" -Instead $Rules.Instead["$Command -$name"] }
    elseif ($name -in $Cmdlet.Old) { Deny -At $Parameter -What "$Command has no -$name on PowerShell 7" -Instead $Rules.Instead["$Command -$name"] }
    elseif ($name -notin $Cmdlet.Both -and $name -notin $CommonParameters) { Deny -At $Parameter -What "$Command has no parameter -$name (short forms and aliases are not for modules)" }

    $value = if ($Parameter.Value -and $Parameter.Value.PSObject.Properties['Value']) { "$($Parameter.Value.Value)" } else { return }
    if ($name -eq 'Encoding' -and $value -notin $Rules.Encodings) { Deny -At $Parameter -What "-Encoding $value is not the same, or not there, on both" -Instead 'a System.Text.Encoding with System.IO.File' }
    elseif ($name -eq 'Encoding' -and $value -eq 'UTF8' -and $Command -in $Rules.Writers) {
        Deny -At $Parameter -What "$Command -Encoding UTF8 writes a byte order mark on 5.1 and none on 7" -Instead '[System.IO.File]::WriteAllText'
    }
    if ($name -eq 'ErrorAction' -and $value -eq 'Break') { Deny -At $Parameter -What '-ErrorAction Break is PowerShell 7''s' -Instead 'Stop' }
}
