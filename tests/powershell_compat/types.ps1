# .NET types and their members, and attributes. Dot-sourced by check.ps1.

# A column of types.txt: @{ name = arities } ($null for what is no method; '2+' takes two arguments or more).
function Read-Member {
    param([string] $Column)

    $members = @{}
    foreach ($item in $Column.Split(' ')) {
        if (-not $item) { continue }
        $name, $arities = $item.Split('/')
        $members[$name] = if ($arities) { $arities.Split(',') } else { $null }
    }
    return $members
}

# Lines are cut into columns only when a type is asked for.
function Read-Type {
    param([string] $File)

    $types = @{}
    foreach ($line in [System.IO.File]::ReadAllLines($File)) {
        if (-not $line.StartsWith('#')) { $types[$line.Substring(0, $line.IndexOf('|'))] = $line }
    }
    return $types
}

# The instance methods of all types, @{ name = arities }: what a value is cannot be told from the text.
function Get-InstanceMethod {
    param([hashtable] $Types, [string[]] $Extra)

    $methods = @{}
    foreach ($line in $Types.Values) {
        foreach ($item in $line.Substring($line.LastIndexOf('|') + 1).Split(' ')) {
            $slash = $item.IndexOf('/')
            if ($slash -lt 0) { continue }
            $name = $item.Substring(0, $slash)
            $methods[$name] = "$($methods[$name]),$($item.Substring($slash + 1))"
        }
    }
    foreach ($name in $Extra) { $methods[$name] = '0+' }
    return $methods
}

function Test-Arity {
    param([string[]] $Arities, [int] $Count)

    foreach ($arity in $Arities) {
        if ($arity -eq "$Count" -or ($arity.EndsWith('+') -and $Count -ge [int]$arity.TrimEnd('+'))) { return $true }
    }
    return $false
}

# Types that a file brings along, as patterns for -like: those of C# libraries that it requires, and of C# in its own text.
function Get-KnownType {
    param($Nodes, [string[]] $Libraries)

    foreach ($library in $Libraries) { "$library.*" }
    foreach ($node in $Nodes) {
        if ($node -isnot [System.Management.Automation.Language.StringConstantExpressionAst] -or $node.StringConstantType -notlike '*HereString') { continue }
        $namespace = if ($node.Value -match '\bnamespace\s+([\w.]+)') { "$($Matches[1])." } else { '' }
        foreach ($match in [regex]::Matches($node.Value, '\b(?:class|struct|enum|interface|delegate\s+\w+)\s+(\w+)')) { "$namespace$($match.Groups[1].Value)" }
    }
}

# The name under which types.txt has a type, or '' where there is none. Arrays stand for their elements.
function Get-TypeKey {
    param($Name, [string[]] $Known)

    if ($Name -is [System.Management.Automation.Language.ArrayTypeName]) { return Get-TypeKey -Name $Name.ElementType -Known $Known }
    $plain = $Name.Name
    if ($Name -is [System.Management.Automation.Language.GenericTypeName]) { $plain = '{0}`{1}' -f $Name.TypeName.Name, $Name.GenericArguments.Count }
    if ($Types.ContainsKey($plain)) { return ($Types[$plain]).Split('|')[0] }
    if ($Types.ContainsKey("System.$plain")) { return ($Types["System.$plain"]).Split('|')[0] }
    if ($plain -in $Rules.Accelerators) {
        $type = $plain -as [type]
        if ($type) { return $type.FullName }
        return $plain
    }
    $namespaces = foreach ($using in Get-UsingNamespace -Name $Name) { "$using.$plain" }
    foreach ($candidate in @($namespaces) -ne $null) { if ($Types.ContainsKey($candidate)) { return ($Types[$candidate]).Split('|')[0] } }
    foreach ($candidate in @($plain, "System.$plain") + @($namespaces)) { if ($candidate -in $Rules.OwnTypes) { return $candidate } }
    foreach ($pattern in $Known) { if ($plain -like $pattern) { return $plain } }
    return ''
}

# The namespaces of the file's `using namespace` lines.
function Get-UsingNamespace {
    param($Name)

    foreach ($match in [regex]::Matches($Name.Extent.StartScriptPosition.GetFullScript(), '(?im)^\s*using\s+namespace\s+([\w.]+)')) { $match.Groups[1].Value }
}

function Test-TypeName {
    param($At, $Name, [string[]] $Known)

    if ($Name -is [System.Management.Automation.Language.GenericTypeName]) {
        foreach ($argument in $Name.GenericArguments) { Test-TypeName -At $At -Name $argument -Known $Known }
    }
    if ($Name.FullName -eq 'ordered' -and $At.Parent -is [System.Management.Automation.Language.ConvertExpressionAst]) { return }  # the parser holds it to a literal table
    $key = Get-TypeKey -Name $Name -Known $Known
    if (-not $key) {
        Deny -At $At -What ".NET Framework 4.6.2 or PowerShell 5.1 has no [$($Name.FullName)], as far as types.txt and rules.psd1 know" -Instead $Rules.Instead[$Name.FullName]
    }
    elseif ($key -in $Rules.RefusedTypes) { Deny -At $At -What "[$key] is not for a module" -Instead $Rules.Instead[$key] }
}

# The arities of a static member, looked for along the base types; '*' where it is no method; $null where there is none.
function Find-StaticMember {
    param([string] $Key, [string] $Member)

    for ($type = $Key; $type -and $Types.ContainsKey($type); $type = $base) {
        $name, $base, $static, $instance = $Types[$type].Split('|')
        if (-not $static -and -not $instance) { return @('*') }  # attributes, delegates: not listed
        $members = Read-Member -Column $static
        if ($members.ContainsKey($Member)) {
            if (-not $members[$Member]) { return @('*') }
            return @($members[$Member]) + $(if ($Member -eq 'new' -and $base -eq 'System.ValueType') { '0' })
        }
        if ($Member -eq 'new') { return $(if ($base -eq 'System.ValueType') { '0' }) }
        if ($base -eq 'System.Enum') { $base = 'System.Object' }
    }
    if ($type) { return @('*') }  # a base type that is not listed
    return $null
}

function Test-Member {
    param($Node, [string[]] $Known)

    $call = $Node -is [System.Management.Automation.Language.InvokeMemberExpressionAst]
    if (-not $Node.Member.PSObject.Properties['Value']) { return }  # a name that is computed
    $member = "$($Node.Member.Value)"
    $count = if ($call -and $Node.Arguments) { $Node.Arguments.Count } else { 0 }
    if (-not $Node.Static) {
        if ($call) { Test-InstanceMethod -Node $Node -Member $member -Count $count }
        return
    }
    if ($Node.Expression -isnot [System.Management.Automation.Language.TypeExpressionAst]) { return }
    $name = $Node.Expression.TypeName
    if ($name -is [System.Management.Automation.Language.ArrayTypeName]) { return }
    $key = Get-TypeKey -Name $name -Known $Known
    if (-not $key -or -not $Types.ContainsKey($key)) { return }
    $arities = Find-StaticMember -Key $key -Member $member
    if (-not $arities) { Deny -At $Node -What ".NET Framework 4.6.2 has no [$($name.FullName)]::$member" -Instead $Rules.Instead["${key}::$member"] }
    elseif ($call -and $arities -notcontains '*' -and -not (Test-Arity -Arities $arities -Count $count)) {
        Deny -At $Node -What ".NET Framework 4.6.2 has no [$($name.FullName)]::$member with $count arguments" -Instead $Rules.Instead["${key}::$member"]
    }
}

function Test-InstanceMethod {
    param($Node, [string] $Member, [int] $Count)

    if (-not $InstanceMethods.ContainsKey($Member)) {
        Deny -At $Node -What ".NET Framework 4.6.2 has no method .$Member() in the types of types.txt" -Instead $Rules.Instead[".$Member()"]
    }
    elseif (-not (Test-Arity -Arities $InstanceMethods[$Member].Split(',') -Count $Count)) {
        Deny -At $Node -What ".NET Framework 4.6.2 has no method .$Member() with $Count arguments in the types of types.txt" -Instead $Rules.Instead[".$Member()"]
    }
    $first = if ($Count) { $Node.Arguments[0] } else { return }
    # Other types have a Replace of three arguments.
    if ($Member -eq 'Replace' -and $Count -eq 3 -and $Node.Arguments[2].Extent.Text -match 'StringComparison|Ordinal|Culture') {
        Deny -At $Node -What '.NET Framework 4.6.2 has no .Replace() with a comparison' -Instead '[regex]::Replace($text, [regex]::Escape($old), $new)'
    }
    if ($Member -eq 'Split' -and $first -is [System.Management.Automation.Language.StringConstantExpressionAst] -and $first.Value.Length -gt 1) {
        Deny -At $Node -What ".Split('$($first.Value)') splits at each of the characters on 5.1 and at the whole text on 7" -Instead '-split, or a [char[]]'
    }
}

function Test-Attribute {
    param($Node)

    $name = $Node.TypeName.Name
    if ($name.StartsWith('System.Management.Automation.')) { $name = $name.Substring(29) }
    $allowed = $Rules.Attributes[$name]
    if ($null -eq $allowed) { Deny -At $Node -What "5.1 has no attribute [$name()], as far as rules.psd1 knows"; return }
    foreach ($argument in $Node.NamedArguments) {
        if ($argument.ArgumentName -notin $allowed) { Deny -At $argument -What "[$name()] has no $($argument.ArgumentName) on Windows PowerShell 5.1" }
    }
    if ($name -eq 'ValidateRange' -and $Node.PositionalArguments.Count -ne 2) { Deny -At $Node -What '[ValidateRange()] takes a smallest and a largest value on 5.1' }
}
