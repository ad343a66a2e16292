# What the check knows beside commands.txt (cmdlets and their parameters) and types.txt (.NET Framework's types): the house
# rules, and for what is often tried, what to write in its place.
@{
    # In place of a cmdlet, a parameter (NAME -PARAMETER) or a .NET member (TYPE::MEMBER) that cannot be used.
    Instead = @{
        'ConvertFrom-Json -AsHashtable' = 'read the PSCustomObject''s PSObject.Properties'
        'ForEach-Object -Parallel' = 'a plain loop, or tasks that are awaited together'
        'Get-Content -AsByteStream' = '[System.IO.File]::ReadAllBytes'
        'Get-EventLog' = 'System.Diagnostics.Eventing.Reader.EventLogReader'
        'Get-SecureRandom' = 'System.Security.Cryptography.RandomNumberGenerator'
        'Get-Uptime' = 'LastBootUpTime of Get-CimInstance Win32_OperatingSystem'
        'Get-WmiObject' = 'Get-CimInstance'
        'Invoke-Expression' = 'a call with its arguments: text that is run lets a host''s data become code'
        'Invoke-RestMethod -SkipCertificateCheck' = 'a validation callback on System.Net.Security.SslStream'
        'Invoke-WebRequest -SkipCertificateCheck' = 'a validation callback on System.Net.Security.SslStream'
        'Invoke-WmiMethod' = 'Invoke-CimMethod'
        'Join-Path -AdditionalChildPath' = '[System.IO.Path]::Combine'
        'Join-String' = 'the operator -join'
        'Out-Host' = '$module.Result, or $module.Warn'
        'Read-Host' = 'an option of the module: nobody can answer'
        'Remove-Alias' = 'no alias in the first place'
        'Remove-WmiObject' = 'Remove-CimInstance'
        'Set-WmiInstance' = 'Set-CimInstance'
        'Split-Path -LeafBase' = '[System.IO.Path]::GetFileNameWithoutExtension'
        'Split-Path -Extension' = '[System.IO.Path]::GetExtension'
        'Test-Json' = 'ConvertFrom-Json in a try'
        'Write-Host' = '$module.Result, or $module.Warn: what a module prints breaks its answer'
        'System.Console' = '$module.Result, or $module.Warn: what a module prints breaks its answer'
        'System.Convert::FromHexString' = 'a loop over [Convert]::ToByte($text.Substring($i, 2), 16)'
        'System.Convert::ToHexString' = '[BitConverter]::ToString($bytes).Replace(''-'', '''')'
        'System.DateTime::UnixEpoch' = '[DateTimeOffset]::FromUnixTimeSeconds'
        'System.Environment::TickCount64' = '[System.Diagnostics.Stopwatch]'
        'System.IO.File::ReadAllTextAsync' = 'ReadAllText'
        'System.IO.Path::GetRelativePath' = '[Uri]::MakeRelativeUri'
        'System.IO.Path::Join' = '[System.IO.Path]::Combine'
        'System.Math::Clamp' = '[Math]::Min and [Math]::Max'
        'System.Security.Cryptography.RandomNumberGenerator::Fill' = '[RandomNumberGenerator]::Create().GetBytes($buffer)'
        'System.Security.Cryptography.RandomNumberGenerator::GetBytes' = '[RandomNumberGenerator]::Create().GetBytes($buffer)'
        'System.Security.Cryptography.SHA256::HashData' = '[SHA256]::Create().ComputeHash($bytes)'
        'System.Text.Json.JsonSerializer' = 'ConvertTo-Json and ConvertFrom-Json'
        '.Contains()' = '.IndexOf($text, [StringComparison]::OrdinalIgnoreCase) -ge 0'
        '.ExportCertificatePem()' = 'RawData in base64 between the two lines of PEM'
        '.GetCertHashString()' = '.Thumbprint, or SHA256 over .RawData'
        '.CopyWithPrivateKey()' = 'a PKCS#12 file with its key'
    }

    # Cmdlets of both PowerShells that the house does not use.
    RefusedCommands = @('Invoke-Expression', 'Out-Default', 'Out-Host', 'Read-Host', 'Write-Host')
    RefusedTypes = @('System.Console')

    # Their text is in Windows' language. What they do has an API.
    Tools = @(
        'bcdedit', 'certreq', 'certutil', 'dsregcmd', 'ipconfig', 'net', 'netsh', 'netstat', 'nltest', 'nslookup', 'ping', 'reg', 'sc', 'schtasks',
        'systeminfo', 'tpmtool', 'tracert', 'w32tm', 'wevtutil', 'whoami', 'wmic')

    # Programs that are run for what they do; nothing that they print is read.
    Programs = @('dmcertinst.exe')

    # about_Type_Accelerators of 5.1, less what PowerShell 7 dropped (adsi, wmi and their like).
    Accelerators = @(
        'Alias', 'AllowEmptyCollection', 'AllowEmptyString', 'AllowNull', 'ArgumentCompleter', 'array', 'bigint', 'bool', 'byte', 'char', 'cimclass',
        'cimconverter', 'ciminstance', 'CimSession', 'cimtype', 'CmdletBinding', 'cultureinfo', 'datetime', 'decimal', 'double', 'float', 'guid', 'hashtable',
        'initialsessionstate', 'int', 'int16', 'int32', 'int64', 'ipaddress', 'IPEndpoint', 'long', 'mailaddress', 'NullString', 'ObjectSecurity', 'OutputType',
        'Parameter', 'PhysicalAddress', 'powershell', 'psaliasproperty', 'pscredential', 'pscustomobject', 'PSDefaultValue', 'pslistmodifier', 'psmoduleinfo',
        'psnoteproperty', 'psobject', 'psprimitivedictionary', 'psscriptmethod', 'psscriptproperty', 'PSTypeNameAttribute', 'psvariable', 'psvariableproperty',
        'ref', 'regex', 'runspace', 'runspacefactory', 'sbyte', 'scriptblock', 'securestring', 'single', 'string', 'SupportsWildcards', 'switch', 'timespan',
        'type', 'uint16', 'uint32', 'uint64', 'uri', 'ValidateCount', 'ValidateDrive', 'ValidateLength', 'ValidateNotNull', 'ValidateNotNullOrEmpty',
        'ValidatePattern', 'ValidateRange', 'ValidateScript', 'ValidateSet', 'ValidateUserDrive', 'version', 'void', 'WildcardPattern',
        'X500DistinguishedName', 'X509Certificate', 'xml')

    # Types of PowerShell itself and of CIM, which have no reference assembly: both PowerShells have them, their members are not checked.
    OwnTypes = @(
        'System.Management.Automation.ActionPreference', 'System.Management.Automation.CommandNotFoundException', 'System.Management.Automation.ErrorCategory',
        'System.Management.Automation.ErrorRecord', 'System.Management.Automation.ItemNotFoundException', 'System.Management.Automation.MethodInvocationException',
        'System.Management.Automation.PSCredential', 'System.Management.Automation.PSCustomObject', 'System.Management.Automation.PSNoteProperty',
        'System.Management.Automation.PSObject', 'System.Management.Automation.RuntimeException', 'System.Management.Automation.ScriptBlock',
        'System.Management.Automation.SwitchParameter', 'Microsoft.Management.Infrastructure.CimException', 'Microsoft.Management.Infrastructure.CimInstance',
        'Microsoft.Management.Infrastructure.CimSession')

    # Instance methods that no type of types.txt has: Ansible.Basic's, PowerShell's own, and the COM object Schedule.Service's.
    Methods = @(
        'Debug', 'Deprecate', 'ExitJson', 'FailJson', 'LogEvent', 'Warn',
        'ForEach', 'GetNewClosure', 'Invoke', 'InvokeReturnAsIs', 'Where',
        'Connect', 'DeleteTask', 'GetFolder', 'GetFolders', 'GetInstances', 'GetRunningTasks', 'GetSecurityDescriptor', 'GetTask', 'GetTasks', 'NewTask',
        'RegisterTask', 'RegisterTaskDefinition', 'Run', 'RunEx', 'SetSecurityDescriptor', 'Stop')

    # Attributes and their named arguments.
    Attributes = @{
        Alias = @()
        AllowEmptyCollection = @()
        AllowEmptyString = @()
        AllowNull = @()
        ArgumentCompleter = @()
        CmdletBinding = @('ConfirmImpact', 'DefaultParameterSetName', 'HelpUri', 'PositionalBinding', 'SupportsPaging', 'SupportsShouldProcess')
        OutputType = @('ParameterSetName', 'ProviderCmdlet')
        Parameter = @(
            'DontShow', 'HelpMessage', 'HelpMessageBaseName', 'HelpMessageResourceId', 'Mandatory', 'ParameterSetName', 'Position', 'ValueFromPipeline',
            'ValueFromPipelineByPropertyName', 'ValueFromRemainingArguments')
        PSDefaultValue = @('Help', 'Value')
        SupportsWildcards = @()
        ValidateCount = @()
        ValidateDrive = @()
        ValidateLength = @()
        ValidateNotNull = @()
        ValidateNotNullOrEmpty = @()
        ValidatePattern = @('Options')
        ValidateRange = @()
        ValidateScript = @()
        ValidateSet = @('IgnoreCase')
        ValidateUserDrive = @()
    }

    # Variables that only PowerShell 7 sets: under strict mode, reading them fails on 5.1.
    Variables = @(
        'EnabledExperimentalFeatures', 'IsCoreCLR', 'IsLinux', 'IsMacOS', 'IsWindows', 'PSNativeCommandArgumentPassing',
        'PSNativeCommandUseErrorActionPreference', 'PSStyle')

    # Values of -Encoding that mean the same for both. UTF8 comes with a byte order mark on 5.1 only, so it is for reading.
    Encodings = @('ASCII', 'BigEndianUnicode', 'OEM', 'Unicode', 'UTF32', 'UTF7', 'UTF8')
    # Their default is the system's code page or UTF-16 on 5.1 and UTF-8 on 7.
    Readers = @('Get-Content', 'Import-Csv')
    Writers = @('Add-Content', 'Export-Csv', 'Out-File', 'Set-Content')
    # Without it, 5.1 hands the answer to Internet Explorer.
    NeedUseBasicParsing = @('Invoke-RestMethod', 'Invoke-WebRequest')
}
