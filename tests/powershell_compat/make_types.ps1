# Writes types.txt: the public types of .NET Framework, from its reference assemblies, that .NET has too.
# usage: pwsh -File make_types.ps1 FOLDER > types.txt
# FOLDER holds the reference assemblies (Debian's package mono-devel has them in /usr/lib/mono/4.6.2-api). 4.6.2 is what the
# oldest Windows that is still in use brings: Windows Server 2016.
param([Parameter(Mandatory = $true)] [string] $Folder)
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$assemblies = 'mscorlib', 'System', 'System.Core', 'System.Net.Http', 'System.Numerics', 'System.Security', 'System.ServiceProcess', 'System.Xml'
$namespaces = @(
    'Microsoft.Win32', 'System', 'System.Collections', 'System.Collections.Concurrent', 'System.Collections.Generic', 'System.Collections.ObjectModel',
    'System.Collections.Specialized', 'System.ComponentModel', 'System.Diagnostics', 'System.Diagnostics.Eventing.Reader', 'System.Globalization',
    'System.IO', 'System.Linq', 'System.Linq.Expressions', 'System.Net', 'System.Net.Http', 'System.Net.Http.Headers', 'System.Net.NetworkInformation',
    'System.Net.Security', 'System.Net.Sockets', 'System.Numerics', 'System.Reflection', 'System.Runtime.InteropServices', 'System.Security',
    'System.Security.AccessControl', 'System.Security.Authentication', 'System.Security.Cryptography', 'System.Security.Cryptography.Pkcs',
    'System.Security.Cryptography.X509Certificates', 'System.Security.Principal', 'System.ServiceProcess', 'System.Text',
    'System.Text.RegularExpressions', 'System.Threading', 'System.Threading.Tasks', 'System.Xml')

# The numbers of arguments that a method takes: '1,2', or '1,2+' when the last takes any number more.
function Get-Arity {
    param($Reader, $Method)

    $blob = $Reader.GetBlobReader($Method.Signature)
    $header = $blob.ReadSignatureHeader()
    if ($header.IsGeneric) { $null = $blob.ReadCompressedInteger() }
    $count = $blob.ReadCompressedInteger()
    $least = $count
    $open = $false
    foreach ($handle in $Method.GetParameters()) {
        $parameter = $Reader.GetParameter($handle)
        if ($parameter.Attributes -band [System.Reflection.ParameterAttributes]::Optional) { $least = [Math]::Min($least, $parameter.SequenceNumber - 1) }
        foreach ($attribute in $parameter.GetCustomAttributes()) {
            $constructor = $Reader.GetCustomAttribute($attribute).Constructor
            if ($constructor.Kind -ne 'MemberReference' -and $constructor.Kind -ne 'MethodDefinition') { continue }
            $owner = if ($constructor.Kind -eq 'MemberReference') {
                $Reader.GetTypeReference([System.Reflection.Metadata.TypeReferenceHandle]$Reader.GetMemberReference($constructor).Parent).Name
            }
            else { $Reader.GetTypeDefinition($Reader.GetMethodDefinition($constructor).GetDeclaringType()).Name }
            if ($Reader.GetString($owner) -eq 'ParamArrayAttribute') { $open = $true }
        }
    }
    if ($open) { return "$($count - 1)+" }
    return $least..$count
}

function Get-BaseName {
    param($Reader, $Type)

    if ($Type.BaseType.IsNil) { return '' }
    if ($Type.BaseType.Kind -eq 'TypeDefinition') {
        $base = $Reader.GetTypeDefinition([System.Reflection.Metadata.TypeDefinitionHandle]$Type.BaseType)
    }
    elseif ($Type.BaseType.Kind -eq 'TypeReference') {
        $base = $Reader.GetTypeReference([System.Reflection.Metadata.TypeReferenceHandle]$Type.BaseType)
    }
    else { return 'System.Object' }  # a generic's instance: its members are told by name alone
    return '{0}.{1}' -f $Reader.GetString($base.Namespace), $Reader.GetString($base.Name)
}

$lines = foreach ($assembly in $assemblies) {
    $file = [System.Reflection.PortableExecutable.PEReader]::new([System.IO.File]::OpenRead([System.IO.Path]::Combine($Folder, "$assembly.dll")))
    $reader = [System.Reflection.Metadata.PEReaderExtensions]::GetMetadataReader($file)
    foreach ($handle in $reader.TypeDefinitions) {
        $type = $reader.GetTypeDefinition($handle)
        $visibility = [int]$type.Attributes -band 7
        if ($visibility -ne 1 -and $visibility -ne 2) { continue }
        $name = $reader.GetString($type.Name)
        $namespace = $reader.GetString($type.Namespace)
        if ($visibility -eq 2) {
            $outer = $reader.GetTypeDefinition($type.GetDeclaringType())
            $namespace = $reader.GetString($outer.Namespace)
            $name = '{0}+{1}' -f $reader.GetString($outer.Name), $name
        }
        $base = Get-BaseName -Reader $reader -Type $type
        if ($namespace -notin $namespaces -or -not ("$namespace.$name" -as [type])) { continue }
        if ($base -in 'System.Attribute', 'System.MulticastDelegate' -or $base -like '*EventArgs') { "$namespace.$name|$base||"; continue }

        $methods = @{ $true = [System.Collections.Generic.SortedDictionary[string, object]]::new(); $false = [System.Collections.Generic.SortedDictionary[string, object]]::new() }
        foreach ($member in $type.GetMethods()) {
            $method = $reader.GetMethodDefinition($member)
            if (([int]$method.Attributes -band 7) -ne 6) { continue }
            $memberName = $reader.GetString($method.Name)
            $static = [bool]($method.Attributes -band [System.Reflection.MethodAttributes]::Static)
            if ($memberName -cmatch '^get_(?!Item$)|^set_(?!Item$)') {
                $methods[$static][$memberName.Substring(4)] = $null
                continue
            }
            if ($memberName -cmatch '^(op|add|remove)_|^(get|set)_Item$|^\.cctor$') { continue }
            if ($memberName -eq '.ctor') { $memberName = 'new'; $static = $true }
            if (-not $methods[$static].ContainsKey($memberName)) { $methods[$static][$memberName] = [System.Collections.Generic.SortedSet[string]]::new() }
            foreach ($arity in Get-Arity -Reader $reader -Method $method) { $null = $methods[$static][$memberName].Add($arity) }
        }
        foreach ($member in $type.GetFields()) {
            $field = $reader.GetFieldDefinition($member)
            if (([int]$field.Attributes -band 7) -ne 6 -or ($field.Attributes -band [System.Reflection.FieldAttributes]::SpecialName)) { continue }
            $methods[[bool]($field.Attributes -band [System.Reflection.FieldAttributes]::Static)][$reader.GetString($field.Name)] = $null
        }
        $columns = foreach ($static in $true, $false) {
            @(foreach ($entry in $methods[$static].GetEnumerator()) { if ($entry.Value) { '{0}/{1}' -f $entry.Key, ($entry.Value -join ',') } else { $entry.Key } }) -join ' '
        }
        "$namespace.$name|$base|$($columns[0])|$($columns[1])"
    }
}
'# name|base|static members|instance members; a method with the numbers of its arguments. Made by make_types.ps1.'
$sorted = [System.Collections.Generic.SortedSet[string]]::new([string[]]$lines, [System.StringComparer]::Ordinal)
$sorted
