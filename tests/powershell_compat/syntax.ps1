# Syntax that PowerShell 7 has and Windows PowerShell 5.1 does not. Dot-sourced by check.ps1.

# Backquote sequences of 6 and later, in text whose backquotes are not themselves quoted.
$EscapePattern = [regex]'(?<!`)(?:``)*`(?:e|u\{)'
# Suffixes y, s, n and all with u came with 6 and 7, 0b with 7; hexadecimal digits hold none of these letters.
$NumberPattern = [regex]'^[+-]?(?:0b|.*?(?:u?y|u?s|ul?|n)(?:[kmgtp]b)?$)'

function Test-Token {
    param($Token)

    switch ($Token.GetType().Name) {
        'NumberToken' {
            if ($NumberPattern.IsMatch($Token.Text)) { Deny -At $Token -What "the number $($Token.Text) is written as only PowerShell 7 reads it" -Instead 'a cast, such as [uint32]1' }
        }
        'StringExpandableToken' {
            if ($EscapePattern.IsMatch($Token.Text)) { Deny -At $Token -What 'the escapes `e and `u{…} are PowerShell 7''s' -Instead '[char]27, [char]0x20AC' }
        }
        'StringLiteralToken' {
            if ($Token.Kind -in 'Generic', 'Identifier' -and $EscapePattern.IsMatch($Token.Text)) { Deny -At $Token -What 'the escapes `e and `u{…} are PowerShell 7''s' -Instead '[char]27, [char]0x20AC' }
        }
    }
}

# A pipe that begins a line goes on with the line before, but only in PowerShell 7.
function Test-LineStart {
    param($Tokens)

    $previous = $null
    foreach ($token in $Tokens) {
        if ($token.Kind -eq 'Comment') { continue }
        if ($token.Kind -eq 'Pipe' -and $previous -eq 'NewLine') { Deny -At $token -What 'a line cannot begin with |' -Instead '| at the end of the line before' }
        $previous = $token.Kind
    }
}

# One test for each kind of node, by the name of its class.
$SyntaxTests = @{
    TernaryExpressionAst = { param($Node) Deny -At $Node -What 'the ternary operator is PowerShell 7''s' -Instead 'if (…) { … } else { … }' }
    PipelineChainAst = { param($Node) Deny -At $Node -What '&& and || are PowerShell 7''s' -Instead 'if ($?) { … }' }
    PipelineAst = { param($Node) if ($Node.Background) { Deny -At $Node -What '& after a pipeline is PowerShell 7''s' -Instead 'Start-Job, or no background at all' } }
    AssignmentStatementAst = {
        param($Node)
        if ($Node.Operator -eq 'QuestionQuestionEquals') { Deny -At $Node -What '??= is PowerShell 7''s' -Instead 'if ($null -eq $x) { $x = … }' }
    }
    BinaryExpressionAst = { param($Node) Test-BinaryOperator -Node $Node }
    MemberExpressionAst = { param($Node) Test-NullConditional -Node $Node -Written '?.' }
    InvokeMemberExpressionAst = {
        param($Node)
        Test-NullConditional -Node $Node -Written '?.'
        if ($Node.GenericTypeArguments) { Deny -At $Node -What 'types given to a method, as in .Method[int](), are PowerShell 7''s' -Instead 'MakeGenericMethod' }
    }
    HashtableAst = { param($Node) foreach ($pair in $Node.KeyValuePairs) { Test-PairValue -Statement $pair.Item2 } }
    IndexExpressionAst = { param($Node) Test-NullConditional -Node $Node -Written '?[]' }
    ScriptBlockAst = { param($Node) Test-ScriptBlock -Node $Node }
    TypeDefinitionAst = { param($Node) Deny -At $Node -What "class and enum ($($Node.Name)) do not work in Ansible's modules" -Instead '[PSCustomObject]@{ … }' }
    ConfigurationDefinitionAst = { param($Node) Deny -At $Node -What 'a configuration is for DSC' }
    UsingStatementAst = {
        param($Node)
        if ($Node.UsingStatementKind -ne 'Namespace') {
            Deny -At $Node -What "using $("$($Node.UsingStatementKind)".ToLowerInvariant()) does not work in Ansible's modules" -Instead '#AnsibleRequires, or Add-Type -AssemblyName'
        }
    }
    VariableExpressionAst = { param($Node) Test-Variable -Node $Node }
    FileRedirectionAst = {
        param($Node)
        if ($Node.Location.Extent.Text -ne '$null') { Deny -At $Node -What 'redirection writes UTF-16 on 5.1 and UTF-8 on 7' -Instead '[System.IO.File]::WriteAllText' }
    }
}

# What a statement without output leaves in a hash table is not null, and ConvertTo-Json of 5.1 writes it as {}.
function Test-PairValue {
    param($Statement)

    $last = $Statement
    if ($last -is [System.Management.Automation.Language.PipelineAst] -and $last.PipelineElements[-1] -is [System.Management.Automation.Language.CommandExpressionAst]) {
        $expression = $last.PipelineElements[-1].Expression
        if ($expression -is [System.Management.Automation.Language.SubExpressionAst]) { $last = @($expression.SubExpression.Statements)[-1] }
    }
    if ($last -is [System.Management.Automation.Language.IfStatementAst] -and -not $last.ElseClause) {
        Deny -At $last -What 'if without else leaves something in a hash table that 5.1 writes to JSON as {}' -Instead 'else { $null }'
    }
}

function Test-NullConditional {
    param($Node, [string] $Written)

    if ($Node.NullConditional) { Deny -At $Node -What "$Written is PowerShell 7's" -Instead 'if ($null -ne $x) { … }' }
}

# Case is folded by the current culture, in which I is no i on a Turkish Windows: letters, and ranges that go over it.
function Test-FoldedPattern {
    param($At, $Pattern)

    if ($Pattern -isnot [System.Management.Automation.Language.StringConstantExpressionAst]) { return }
    $letters = [regex]::Replace($Pattern.Value, '\\p\{\w+\}|\\.|\(\?\w|\(\?<\w+>', '')
    if ($letters -cmatch '[iI]|[a-h]-[j-z]|[A-H]-[J-Z]') {
        Deny -At $At -What 'a pattern with the letter i that ignores case does so by the host''s language' -Instead '-cmatch, or [regex] with ''IgnoreCase, CultureInvariant'''
    }
}

function Test-BinaryOperator {
    param($Node)

    switch ($Node.Operator) {
        { $_ -in 'Imatch', 'Inotmatch', 'Ireplace', 'Isplit' } {
            $pattern = if ($Node.Right -is [System.Management.Automation.Language.ArrayLiteralAst]) { $Node.Right.Elements[0] } else { $Node.Right }
            Test-FoldedPattern -At $Node -Pattern $pattern
        }
        'QuestionQuestion' { Deny -At $Node -What '?? is PowerShell 7''s' -Instead 'if ($null -eq $x) { … } else { $x }' }
        'DotDot' {
            if ($Node.Left.StaticType -eq [string] -or $Node.Right.StaticType -eq [string]) { Deny -At $Node -What 'a range of characters is PowerShell 7''s' -Instead '[char[]](97..122)' }
        }
        { $_ -in 'Ireplace', 'Creplace' } {
            $right = if ($Node.Right -is [System.Management.Automation.Language.ArrayLiteralAst]) { $Node.Right.Elements[-1] } else { $Node.Right }
            if ($right -is [System.Management.Automation.Language.ScriptBlockExpressionAst]) { Deny -At $Node -What '-replace with a script block is PowerShell 7''s' -Instead '[regex]::Replace($text, $pattern, { … })' }
        }
    }
}

function Test-ScriptBlock {
    param($Node)

    if ($Node.PSObject.Properties['CleanBlock'] -and $Node.CleanBlock) { Deny -At $Node.CleanBlock -What 'the block clean is PowerShell 7''s' -Instead 'try { … } finally { … }' }
    $needs = $Node.ScriptRequirements
    if (-not $needs) { return }
    if ($needs.RequiredPSVersion -gt [version]'5.1') { Deny -At $Node -What "#Requires -Version $($needs.RequiredPSVersion) keeps 5.1 out" -Instead '#Requires -Version 5.1' }
    if ($needs.RequiredPSEditions -and 'Desktop' -notin $needs.RequiredPSEditions) { Deny -At $Node -What "#Requires -PSEdition $($needs.RequiredPSEditions) keeps 5.1 out" -Instead 'nothing' }
}

function Test-Variable {
    param($Node)

    $name = $Node.VariablePath.UserPath
    if ($name -in $Rules.Variables) { Deny -At $Node -What "`$$name is PowerShell 7's, and strict mode refuses it on 5.1" -Instead '$PSVersionTable, or [System.Environment]::OSVersion' }
    if ($name.EndsWith('?') -and $name -ne '?') { Deny -At $Node -What "`$$name is a variable whose name ends in ?, not an operator" -Instead 'if ($null -ne $x) { … }' }
}
