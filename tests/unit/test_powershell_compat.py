"""The check of PowerShell against Windows PowerShell 5.1: each refusal, beside the nearest text that passes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lab.engine import REPOSITORY, EngineNotFoundError, find_engine

pytestmark = pytest.mark.lab

CHECK = REPOSITORY / "tests" / "powershell_compat" / "check.ps1"
FINDING = re.compile(r"^(?P<file>.+?\.psm?1):(?P<line>\d+): (?P<text>.+)$", re.MULTILINE)


class Sample(NamedTuple):
    """What is refused, why, and its near miss."""

    bad: str
    why: str
    good: str


SYNTAX = {
    "ternary": Sample("$a ? 1 : 2", "the ternary operator", "if ($a) { 1 } else { 2 }"),
    "null coalescing": Sample("$a ?? 1", "?? is PowerShell 7's", "$a, '??'"),
    "null coalescing assignment": Sample("$a ??= 1", "??= is PowerShell 7's", "$a += 1"),
    "null conditional member": Sample("${a}?.Length", "?. is PowerShell 7's", "${a}.Length"),
    "null conditional method": Sample("${a}?.Trim()", "?. is PowerShell 7's", "${a}.Trim()"),
    "null conditional index": Sample("${a}?[0]", "?[] is PowerShell 7's", "${a}[0]"),
    "question mark in a name": Sample("$a?.Length", "$a? is a variable whose name ends in ?", "$?; $a.Length"),
    "and chain": Sample("Get-Date && Get-Date", "&& and || are PowerShell 7's", "Get-Date; Get-Date"),
    "or chain": Sample("Get-Date || Get-Date", "&& and || are PowerShell 7's", "Get-Date | Out-Null"),
    "background": Sample("Get-Date &", "& after a pipeline is PowerShell 7's", "& { Get-Date }"),
    "clean block": Sample(
        "function f { process { 1 } clean { 2 } }", "the block clean", "function f { process { 1 } end { 2 } }"
    ),
    "method's types": Sample("[Array]::Empty[int]()", "types given to a method", "[Array]::IndexOf(@(1), 1)"),
    "suffix u": Sample("$a = 1u", "the number 1u", "$a = [uint32]1"),
    "suffix y": Sample("$a = 1y", "the number 1y", "$a = 1l"),
    "suffix us": Sample("$a = 1us", "the number 1us", "$a = 1.5d"),
    "suffix ul and multiplier": Sample("$a = 1ulkb", "the number 1ulkb", "$a = 1lkb"),
    "suffix n": Sample("$a = 1n", "the number 1n", "$a = 0xfd"),
    "binary": Sample("$a = 0b101", "the number 0b101", "$a = 0xb101"),
    "unicode escape": Sample('"`u{20AC}"', "the escapes `e and `u{…}", "\"``u{20AC}\"; '`u{20AC}'"),
    "escape in a here-string": Sample('@"\n`e[0m\n"@', "the escapes `e and `u{…}", "@'\n`e[0m\n'@"),
    "escape in a bare word": Sample("Get-Item -Path `e", "the escapes `e and `u{…}", "Get-Item -Path `n"),
    "leading pipe": Sample(
        "Get-Date\n# on the next line\n| Out-Null",
        "a line cannot begin with |",
        "Get-Date |\nOut-Null; Get-Date `\n| Out-Null",
    ),
    "range of characters": Sample("'a'..'z'", "a range of characters", "1..9"),
    "replace with a block": Sample(
        "$a -replace 'x', { 1 }", "-replace with a script block", "$a -replace 'x', '{ 1 }'"
    ),
    "class": Sample("class Thing { }", "class and enum (Thing)", "$class = 'class Thing { }'"),
    "enum": Sample("enum Thing { One }", "class and enum (Thing)", "[System.UriKind]::Absolute"),
    "using module": Sample("using module Thing", "using module", "using namespace System.IO\n[FileInfo]"),
    "version": Sample("#Requires -Version 7.0", "#Requires -Version 7.0 keeps 5.1 out", "#Requires -Version 5.1"),
    "edition": Sample(
        "#Requires -PSEdition Core", "#Requires -PSEdition Core keeps 5.1 out", "#Requires -PSEdition Desktop"
    ),
    "variable of 7": Sample("$IsWindows", "$IsWindows is PowerShell 7's", "$PSVersionTable"),
    "redirection": Sample("Get-Date > 'a.txt'", "redirection writes UTF-16", "Get-Date > $null 2>&1"),
    "if without else in a table": Sample(
        "@{ a = $(if ($b) { 1 }) }", "if without else leaves", "@{ a = $(if ($b) { 1 } else { $null }) }"
    ),
    "if as a value": Sample("@{ a = if ($b) { 1 } }", "if without else leaves", "@{ a = @(if ($b) { 1 }) }"),
    "letter i": Sample("$a -match '-keyid-'", "by the host's language", "$a -cmatch '-[Kk]ey[Ii]d-'"),
    "range over i": Sample("$a -replace '[^a-z]', ''", "by the host's language", "$a -replace '[^a-f]', 'i'"),
    "escapes and names of groups": Sample(
        "$a -notmatch '\\Ai'", "by the host's language", "$a -match '(?i)\\A(?<pin>\\p{Lu})\\i'"
    ),
    "attribute of 7": Sample(
        "param([ValidateNotNullOrWhiteSpace()] $a)",
        "no attribute [ValidateNotNullOrWhiteSpace()]",
        "param([ValidateNotNullOrEmpty()] $a)",
    ),
    "attribute's argument": Sample(
        "param([ValidateSet('a', ErrorMessage = 'x')] $a)",
        "[ValidateSet()] has no ErrorMessage",
        "param([ValidateSet('a', IgnoreCase = $true)] $a)",
    ),
    "range by a word": Sample(
        "param([ValidateRange('Positive')] $a)", "a smallest and a largest", "param([ValidateRange(1, 9)] $a)"
    ),
    "does not parse": Sample("if ($a {", "does not parse", "if ($a) { }"),
}

COMMANDS = {
    "cmdlet of 7": Sample("Get-Uptime", "Windows PowerShell 5.1 has no Get-Uptime", "Get-Date"),
    "cmdlet of 5.1": Sample(
        "Get-WmiObject", "PowerShell 7 has no Get-WmiObject; instead: Get-CimInstance", "Get-CimInstance"
    ),
    "no cmdlet": Sample("Get-Thing", "Get-Thing is no cmdlet", "function Get-Thing { }\nGet-Thing"),
    "qualified cmdlet of 7": Sample(
        "Microsoft.PowerShell.Utility\\Join-String",
        "5.1 has no Join-String",
        "Microsoft.PowerShell.Utility\\Select-String",
    ),
    "alias": Sample("@(1) | % { $_ }", "% is an alias; instead: ForEach-Object", "@(1) | ForEach-Object { $_ }"),
    "parallel": Sample(
        "@(1) | ForEach-Object -Parallel { $_ }",
        "ForEach-Object has no -Parallel",
        "@(1) | ForEach-Object -Process { $_ }",
    ),
    "as a hashtable": Sample(
        "ConvertFrom-Json -InputObject $a -AsHashtable",
        "ConvertFrom-Json has no -AsHashtable",
        "ConvertFrom-Json -InputObject $a",
    ),
    "depth of reading": Sample(
        "ConvertFrom-Json $a -Depth 5", "ConvertFrom-Json has no -Depth", "ConvertTo-Json $a -Depth 5"
    ),
    "array": Sample("ConvertTo-Json -AsArray $a", "ConvertTo-Json has no -AsArray", "ConvertTo-Json -Compress $a"),
    "bytes": Sample(
        "Get-Content a -AsByteStream -Encoding ASCII",
        "Get-Content has no -AsByteStream",
        "Get-Content a -Raw -Encoding ASCII",
    ),
    "paths": Sample(
        "Join-Path a b -AdditionalChildPath c", "Join-Path has no -AdditionalChildPath", "Join-Path a b -Resolve"
    ),
    "parameter of 5.1": Sample(
        "Get-Item -UseTransaction", "Get-Item has no -UseTransaction on PowerShell 7", "Get-Item -Force"
    ),
    "short parameter": Sample("Get-Item -Literal a", "Get-Item has no parameter -Literal", "Get-Item -LiteralPath a"),
    "common alias": Sample("Get-Item a -EA Stop", "Get-Item has no parameter -EA", "Get-Item a -ErrorAction Stop"),
    "action of 7": Sample("Get-Item a -ErrorAction Break", "-ErrorAction Break", "Get-Item a -ErrorAction:Ignore"),
    "splatted": Sample(
        "$get = @{ LiteralPath = 'a'; AsByteStream = $true; Encoding = 'ASCII' }\nGet-Content @get",
        "Get-Content has no -AsByteStream",
        "$get = @{ LiteralPath = 'a'; Raw = $true; Encoding = 'ASCII' }\nGet-Content @get",
    ),
    "splatted later": Sample(
        "$get = @{}\n$get.AsHashtable = $true\nConvertFrom-Json @get",
        "ConvertFrom-Json has no -AsHashtable",
        "$get = @{}\n$get.InputObject = ''\nConvertFrom-Json @get",
    ),
    "function's parameter": Sample(
        "function Get-Thing { param($Name) $Name }\nGet-Thing -Nmae 1",
        "the function Get-Thing has no parameter -Nmae",
        "function Get-Thing { param($Name) $Name }\nGet-Thing -Name 1",
    ),
    "encoding of 7": Sample("Get-Content a -Encoding utf8NoBOM", "-Encoding utf8NoBOM", "Get-Content a -Encoding UTF8"),
    "byte order mark": Sample(
        "Set-Content a b -Encoding UTF8", "writes a byte order mark", "Set-Content a b -Encoding ASCII"
    ),
    "default encoding": Sample("Get-Content a", "Get-Content without -Encoding", "Get-Item a"),
    "parser of the web": Sample(
        "Invoke-WebRequest a", "Internet Explorer's parser", "Invoke-WebRequest a -UseBasicParsing"
    ),
    "unchecked TLS": Sample(
        "Invoke-WebRequest a -UseBasicParsing -SkipCertificateCheck",
        "Invoke-WebRequest has no -SkipCertificateCheck",
        "Invoke-WebRequest a -UseBasicParsing -Method Get",
    ),
    "output": Sample("Write-Host a", "Write-Host is not for a module", "Write-Verbose a"),
    "expression": Sample("Invoke-Expression $a", "Invoke-Expression is not for a module", "Invoke-Command { $a }"),
    "tool": Sample("certutil -store Root", "certutil answers in Windows' language", "Write-Verbose certutil"),
    "tool by its path": Sample(
        "& 'C:\\Windows\\System32\\netsh.exe' http",
        "netsh answers in Windows' language",
        "& 'C:\\Windows\\System32\\dmcertinst.exe' -s",
    ),
    "tool as an argument": Sample(
        "Start-Process -FilePath schtasks.exe",
        "schtasks answers in Windows' language",
        "Start-Process -FilePath dmcertinst.exe",
    ),
    "unknown utility": Sample(
        "#AnsibleRequires -PowerShell ..module_utils._Missing",
        "no module_utils/_Missing.psm1",
        "#AnsibleRequires -PowerShell ..module_utils._Shared\nGet-Shared -Name 1",
    ),
    "utility's parameter": Sample(
        "#AnsibleRequires -PowerShell ._Shared\nGet-Shared -Other 1",
        "the function Get-Shared has no parameter -Other",
        "#AnsibleRequires -PowerShell ._Shared\nGet-Deep",
    ),
    "utility's own function": Sample(
        "#AnsibleRequires -PowerShell ._Shared\nGet-Hidden",
        "Get-Hidden is no cmdlet",
        "#AnsibleRequires -PowerShell ._Shared\nGet-Shared",
    ),
}

TYPES = {
    "static property": Sample(
        "[Environment]::TickCount64", "no [Environment]::TickCount64", "[Environment]::TickCount"
    ),
    "static method": Sample(
        "[Convert]::ToHexString($a)",
        "no [Convert]::ToHexString; instead: [BitConverter]",
        "[Convert]::ToBase64String($a)",
    ),
    "hash": Sample(
        "[System.Security.Cryptography.SHA256]::HashData($a)",
        "::HashData",
        "[System.Security.Cryptography.SHA256]::Create().ComputeHash($a)",
    ),
    "inherited static member": Sample(
        "[System.Security.Cryptography.RSACng]::Fill($a)",
        "::Fill",
        "[System.Security.Cryptography.SHA256]::ReferenceEquals($a, $a)",
    ),
    "random": Sample(
        "[System.Security.Cryptography.RandomNumberGenerator]::GetBytes(16)",
        "::GetBytes",
        "[System.Security.Cryptography.RandomNumberGenerator]::Create().GetBytes($a)",
    ),
    "number of arguments": Sample(
        "[Math]::Round(1, 2, 3, 4)", "no [Math]::Round with 4 arguments", "[Math]::Round(1, 2)"
    ),
    "any number of arguments": Sample(
        "[IO.Path]::Join(1, 2)", "::Join; instead: [System.IO.Path]::Combine", "[IO.Path]::Combine(1, 2, 3, 4, 5)"
    ),
    "enum value": Sample(
        "[System.Security.Cryptography.X509Certificates.X509KeyStorageFlags]::EphemeralKeySet",
        "::EphemeralKeySet",
        "[System.Security.Cryptography.X509Certificates.X509KeyStorageFlags]::MachineKeySet",
    ),
    "constructor": Sample(
        "[System.Collections.Generic.HashSet[string]]::new(1, 2, 3)",
        "::new with 3 arguments",
        "[System.Collections.Generic.HashSet[string]]::new(@('a'))",
    ),
    "structure": Sample("[TimeSpan]::new(1, 2)", "[TimeSpan]::new with 2 arguments", "[TimeSpan]::new()"),
    "type": Sample(
        "[System.Text.Json.JsonSerializer]::Serialize($a)",
        "no [System.Text.Json.JsonSerializer]",
        "[System.Text.UTF8Encoding]::new($false)",
    ),
    "type of a parameter": Sample("param([System.DateOnly] $a)", "no [System.DateOnly]", "param([System.DateTime] $a)"),
    "type in a generic": Sample(
        "[System.Collections.Generic.List[Half]]::new()", "no [Half]", "[System.Collections.Generic.List[int]]::new()"
    ),
    "type in an array": Sample("[System.Range[]] @()", "no [System.Range[]]", "[System.Version[]] @()"),
    "accelerator": Sample("[semver] '1.2.3'", "no [semver]", "[version] '1.2.3'"),
    "short number": Sample("[ushort] 1", "no [ushort]", "[uint16] 1"),
    "exception": Sample(
        "try { } catch [System.Text.Json.JsonException] { }",
        "no [System.Text.Json.JsonException]",
        "try { } catch [System.IO.IOException] { }",
    ),
    "ordered": Sample("param([Ordered] $a)", "no [Ordered]", "[ordered]@{ a = 1 }"),
    "console": Sample("[Console]::WriteLine('a')", "[System.Console] is not for a module", "[Environment]::NewLine"),
    "method": Sample("$a.ExportCertificatePem()", "no method .ExportCertificatePem()", "$a.Export($b)"),
    "method's arguments": Sample("$a.Contains('b', 5)", "no method .Contains() with 2 arguments", "$a.Contains('b')"),
    "comparison of text": Sample(
        "$a.Replace('b', 'c', [StringComparison]::Ordinal)", "no .Replace() with a comparison", "$a.Replace('b', 'c')"
    ),
    "split": Sample(
        "$a.Split('::')", ".Split('::') splits at each of the characters", "$a.Split(':'); $a.Split([char[]]'::')"
    ),
    "library": Sample(
        "[Ansible.Basic.AnsibleModule]::Create($args, @{})",
        "no [Ansible.Basic.AnsibleModule]",
        "#AnsibleRequires -CSharpUtil Ansible.Basic\n[Ansible.Basic.AnsibleModule]::Create($args, @{})",
    ),
    "own C#": Sample(
        "[Own.Thing]::Do()",
        "no [Own.Thing]",
        "Add-Type -TypeDefinition @'\nnamespace Own { public class Thing { } }\n'@\n[Own.Thing]::Do()",
    ),
}

SAMPLES = {**SYNTAX, **COMMANDS, **TYPES}
UTILITIES = {
    "_Shared": """
        #AnsibleRequires -PowerShell ._Deep
        function Get-Shared { param($Name) Get-Hidden }
        function Get-Hidden { 1 }
        Export-ModuleMember -Function Get-Shared
        """,
    "_Deep": "function Get-Deep { 1 }",
}


def run_check(*paths: Path) -> subprocess.CompletedProcess[str]:
    try:
        engine = find_engine()
    except EngineNotFoundError as error:
        pytest.skip(str(error))
    command = [str(engine.pwsh), "-NoProfile", "-File", str(CHECK), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.stderr == ""
    return done


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What one run of the check says about each sample's file, by its stem."""
    folder = tmp_path_factory.mktemp("samples")
    utilities = folder / "module_utils"
    utilities.mkdir()
    for name, text in UTILITIES.items():
        utilities.joinpath(f"{name}.psm1").write_text(text, encoding="utf-8")
    for index, sample in enumerate(SAMPLES.values()):
        folder.joinpath(f"bad{index}.ps1").write_text(sample.bad + "\n", encoding="utf-8")
        folder.joinpath(f"good{index}.ps1").write_text(sample.good + "\n", encoding="utf-8")
    done = run_check(folder)
    assert done.returncode == 1
    found: dict[str, list[str]] = {}
    for match in FINDING.finditer(done.stdout):
        found.setdefault(Path(match["file"]).stem, []).append(match["text"])
    return found


@pytest.mark.parametrize("index", range(len(SAMPLES)), ids=list(SAMPLES))
def test_bad_is_refused_and_its_near_miss_is_not(findings: dict[str, list[str]], index: int) -> None:
    sample = list(SAMPLES.values())[index]
    refused = findings.get(f"bad{index}", [])
    assert any(sample.why in text for text in refused), refused
    assert findings.get(f"good{index}", []) == []


def test_utilities_themselves_pass(findings: dict[str, list[str]]) -> None:
    assert UTILITIES.keys() & findings.keys() == set()


def test_message_has_file_line_and_replacement(tmp_path: Path) -> None:
    file = tmp_path / "module.psm1"
    file.write_text("$a = 1\n\n$b = $a ?? 2\n", encoding="utf-8")
    done = run_check(file)
    assert done.returncode == 1
    assert done.stdout == f"{file}:3: ?? is PowerShell 7's; instead: if ($null -eq $x) {{ … }} else {{ $x }}\n"


def test_nothing_to_check_is_no_pass(tmp_path: Path) -> None:
    done = run_check(tmp_path)
    assert done.returncode == 2
    assert done.stdout == f"There is no PowerShell in {tmp_path}.\n"


def test_clean_file_passes(tmp_path: Path) -> None:
    tmp_path.joinpath("clean.ps1").write_text("Get-Date\n", encoding="utf-8")
    done = run_check(tmp_path)
    assert (done.returncode, done.stdout) == (0, "1 PowerShell files hold nothing that Windows PowerShell 5.1 lacks.\n")


def test_plugins_run_on_windows_powershell() -> None:
    done = run_check(REPOSITORY / "plugins", REPOSITORY / "roles")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1), done.stdout
