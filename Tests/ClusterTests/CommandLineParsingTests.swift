// The grammar of the command line, and what help and completion make of the same list.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import stint

@Suite("The command line is parsed from one list")
struct CommandLineParsingTests {
  private func parse(_ line: String) throws -> Arguments {
    try Arguments.parse(line.split(separator: " ").map(String.init), commands: CommandTable.all)
  }

  private func message(_ line: String) -> String {
    do {
      let arguments = try parse(line)
      return "parsed as \(arguments.command.name)"
    } catch {
      return (error as? UsageError)?.message ?? "\(error)"
    }
  }

  @Test(
    "flags stand anywhere, before the command too",
    arguments: [
      "get jobs demo -n batch -o wide", "-n batch get jobs demo -o=wide", "get -nbatch --output wide jobs demo",
      "get --namespace=batch -o wide jobs demo", "-o wide get -n=batch jobs demo",
    ])
  func anywhere(line: String) throws {
    let arguments = try parse(line)
    #expect(arguments.command.name == "get")
    #expect(arguments.words == ["jobs", "demo"])
    #expect(arguments.value("namespace") == "batch")
    #expect(arguments.value("output") == "wide")
  }

  @Test(
    "how little is too little is said as kubelet's flag says it",
    arguments: [
      ("memory.available<200Mi", EvictionThreshold(200 << 20), EvictionThreshold(0)),
      ("memory.available<5%,pid.available<1000", EvictionThreshold(50, isShare: true), EvictionThreshold(1_000)),
      ("pid.available<2.5%", EvictionThreshold(0), EvictionThreshold(25, isShare: true)),
    ])
  func thresholds(text: String, memory: EvictionThreshold, processes: EvictionThreshold) throws {
    var wanted = EvictionSettings()
    #expect(try AgentResources.eviction(try parse("agent")) == wanted)
    wanted.memory = memory
    wanted.processes = processes
    // As in kubelet: who names one threshold names them all.
    wanted.disk = EvictionThreshold(0)
    wanted.inodes = EvictionThreshold(0)
    wanted.transitionMilliseconds = 3_000
    #expect(
      try AgentResources.eviction(try parse("agent --pressure-transition 3s --eviction-hard \(text)")) == wanted)
  }

  @Test("the disk's thresholds are kubelet's too, images' and pods'")
  func diskThresholds() throws {
    let text =
      "nodefs.available<1Gi,nodefs.inodesFree<5%,imagefs.available<15%,imagefs.inodesFree<7"
    let settings = try AgentResources.eviction(try parse("agent --eviction-hard \(text)"))
    #expect(settings.disk == EvictionThreshold(1 << 30) && settings.inodes == EvictionThreshold(50, isShare: true))
    #expect(settings.imageDisk == EvictionThreshold(150, isShare: true))
    #expect(settings.imageInodes == EvictionThreshold(7) && settings.memory == EvictionThreshold(0))
  }

  @Test(
    "a threshold that the machine could never keep is refused, with what there is and what to do",
    arguments: [
      ("memory.available<8Gi", "memory.available<8Gi is more than the 8192Mi that this machine could ever"),
      ("nodefs.available<1Ti", "nodefs.available<1Ti is more than the 95Mi that the file system of /data could ever"),
      ("nodefs.available<96%", "nodefs.available<96% is more than the 95Mi that the file system of /data could ever"),
      ("imagefs.available<95Mi", "imagefs.available<95Mi is more than the 95Mi that the file system of /data"),
      ("nodefs.inodesFree<2000", "nodefs.inodesFree<2000 is more than the 1000 that the file system of /data"),
      ("imagefs.inodesFree<1000", "imagefs.inodesFree<1000 is more than the 1000 that the file system of /data"),
      ("pid.available<5000000", "pid.available<5000000 is more than the 32768 that this machine (pid_max and"),
      ("nodefs.available<94%,nodefs.inodesFree<99%,pid.available<32767,memory.available<99.9%", nil),
    ] as [(String, String?)])
  func unkeepable(text: String, problem: String?) throws {
    let settings = try AgentResources.eviction(try parse("agent --eviction-hard \(text)"))
    let machine = AgentResources.MachineMost(
      memory: .init(total: 8 << 30, left: 8 << 30, place: "this machine"),
      processes: .init(total: 32_768, left: 32_768, place: "this machine (pid_max and threads-max)"),
      disk: .init(total: 100 << 20, left: 95 << 20, place: "the file system of /data"),
      inodes: .init(total: 1_000, left: 1_000, place: "the file system of /data"))
    let found = AgentResources.problem(settings, machine)
    #expect((found == nil) == (problem == nil), "\(found ?? "")")
    if let problem { #expect(found?.hasPrefix("--eviction-hard: \(problem)") == true, "\(found ?? "")") }
    #expect(AgentResources.problem(settings, AgentResources.MachineMost()) == nil, "what does not tell refuses nothing")
    #expect(AgentResources.problem(EvictionSettings(), .read(memory: 8 << 30, data: "/nowhere/data")) == nil)
  }

  @Test("what is kept from pods may be room on the disk")
  func reserved() throws {
    let reserve = try AgentResources.reserve(try parse("agent --reserve cpu=1,memory=1Gi,ephemeral-storage=2Gi"))
    #expect(reserve == NodeReserve(cpuMillicores: 1_000, memoryBytes: 1 << 30, storageBytes: 2 << 30))
  }

  @Test(
    "a threshold that is none, or of nothing that has one, is refused",
    arguments: [
      "memory.available", "memory.available<", "memory.available<101%", "containerfs.available<1%",
      "pid.available<1,pid.available<2", "x<-1", "x<1Qi", "a,,", "memory.available<1Mi,", "memory.available<100%",
      "memory.available<1e30", "memory.available<1u", "pid.available<0.01%", "pid.available<0.00001%",
    ])
  func wrongThresholds(text: String) throws {
    #expect(throws: UsageError.self) {
      try AgentResources.eviction(try parse("agent --eviction-hard \(text)"))
    }
  }

  @Test(
    "a number, a duration or a quantity that makes no sense is refused with what would",
    arguments: [
      ("agent --pressure-transition -1s", "--pressure-transition: \"-1s\" is not a duration from 0s to 1d"),
      ("agent --frozen-kill 100ms", "--frozen-kill: \"100ms\" is not a duration from 1s to 365d"),
      ("agent --image-maximum-age 1s", "--image-maximum-age: \"1s\" is not a duration of at least 2m"),
      ("agent --pods 0", "--pods: \"0\" is not a whole number from 1 to 10000"),
      ("agent --pods 99999999999", "--pods: \"99999999999\" is not a whole number from 1 to 10000"),
      ("agent --pods 99999999999999999999", "--pods: \"99999999999999999999\" is not a whole number from 1 to 10000"),
      ("agent --pods many", "--pods: \"many\" is not a whole number"),
      ("agent --cpu 1e30", "--cpu: \"1e30\" is not a quantity from 1m to 10000"),
      ("agent --cpu -1", "--cpu: \"-1\" is not a quantity from 1m to 10000"),
      ("agent --cpu much", "--cpu: \"much\" is not a quantity such as 500m or 2"),
      ("agent --cpu 1u", "--cpu: \"1u\" is not a quantity from 1m to 10000"),
      ("agent --cpu 0.0001", "--cpu: \"0.0001\" is not a quantity from 1m to 10000"),
      ("agent --memory 8", "--memory: \"8\" is not a quantity from 1Mi to 1Pi"),
      ("agent --log-limit 1", "--log-limit: \"1\" is not a quantity from 64Ki to 1Pi"),
      ("agent --pod-pids-limit 4194305", "--pod-pids-limit: \"4194305\" is not a whole number from -1 to 4194304"),
      ("coordinator --heartbeat-interval 1ms", "--heartbeat-interval: \"1ms\" is not a duration from 100ms to 1h"),
      ("up --agents 0", "--agents: \"0\" is not a whole number from 1 to 100"),
      ("logs p --tail -2", "--tail: \"-2\" is not a whole number of at least -1"),
      ("logs p --since -5s", "--since: \"-5s\" is not a duration of at least 1ms"),
      ("token create --uses 0", "--uses: \"0\" is not a whole number of at least 1"),
      ("simulate --seed -1", "--seed: \"-1\" is not a whole number of at least 0"),
    ])
  func nonsense(line: String, expected: String) throws {
    #expect(message(line) == "\(line.prefix { $0 != " " }): \(expected)")
  }

  @Test("what is kept back is bounded too, and named once")
  func nonsenseReserve() throws {
    for (text, expected) in [
      ("cpu=1e30", "cpu: \"1e30\" is not a quantity from 0 to 10000"), ("cpu=1,cpu=2", "cpu is given twice"),
      ("cpu=1u", "cpu: \"1u\" is not 0, or a quantity from 1m to 10000"),
      ("memory=1m", "memory: \"1m\" is not 0, or a quantity from 1 to 1Pi"),
      ("memory=-1", "memory: \"-1\" is not a quantity from 0 to 1Pi"), ("cpu=1,", "\"\" is not NAME=VALUE"),
    ] {
      let error = #expect(throws: UsageError.self) { try AgentResources.reserve(try parse("agent --reserve \(text)")) }
      #expect(error?.message == "agent: --reserve: \(expected)")
    }
  }

  @Test("a grace of -1 is the pod's own, as for kubectl")
  func grace() throws {
    #expect(try parse("delete pod x --grace-period -1").grace == nil)
    #expect(try parse("delete pod x --grace-period 3").grace == 3)
  }

  @Test("a flag's value may be the name of a command")
  func valueNamedLikeACommand() throws {
    let arguments = try parse("-n get logs -f pod")
    #expect(arguments.command.name == "logs")
    #expect(arguments.value("namespace") == "get")
    #expect(arguments.isOn("follow"))
    #expect(arguments.words == ["pod"])
  }

  @Test("short flags combine, switches take =false, -- ends the flags")
  func shortFlags() throws {
    let arguments = try parse("get -Awl app=quiz pods")
    #expect(arguments.isOn("all-namespaces") && arguments.isOn("watch"))
    #expect(arguments.value("selector") == "app=quiz")
    #expect(try !parse("delete job x --wait=false").isOn("wait", byDefault: true))
    #expect(try parse("delete job x").isOn("wait", byDefault: true))
    #expect(try parse("get pods -- -n").words == ["pods", "-n"])
    #expect(try parse("apply -f a.yaml -f - --filename=c").values("filename") == ["a.yaml", "-", "c"])
  }

  @Test("what kubectl alone has is said, with how kubectl finds the cluster") func kubectlAlone() {
    let works = "stint has no \"taint\", but kubectl works: "
    #expect(
      KubectlCommands.answer(to: "taint", hasKubeconfig: false) == works
        + "stint kubeconfig --to stint.yaml, then kubectl --kubeconfig stint.yaml taint")
    #expect(KubectlCommands.answer(to: "taint", hasKubeconfig: true) == works + "kubectl taint")
    #expect(message("taint node x").hasPrefix(works))
  }

  @Test(
    "wrong use is named, with a hint where one is near",
    arguments: [
      (
        "expose pod",
        "there is no \"expose\": a pod's ports are its node's: connect to them there, or with `stint port-forward`"
      ),
      ("gte jobs", "unknown command \"gte\"; did you mean \"get\"?"),
      ("frobnicate", "unknown command \"frobnicate\""),
      ("get jobs --ouput wide", "get: unknown flag --ouput; did you mean --output?"),
      ("get jobs -z", "get: unknown flag -z"),
      ("get jobs -o", "get: flag -o needs a value"),
      ("get jobs -o table", "get: --output: \"table\" is not one of wide, yaml, json, name, jsonpath="),
      ("get", "get: too few arguments"),
      ("logs pod --tail many", "logs: --tail: \"many\" is not a whole number"),
      ("wait job/x --timeout soon", "wait: --timeout: \"soon\" is not a duration such as 90s or 1m30s"),
      ("completion bash zsh", "completion: unexpected argument \"zsh\""),
      ("apply job.yaml", "apply: unexpected argument \"job.yaml\"; did you mean -f job.yaml?"),
    ])
  func mistakes(line: String, expected: String) {
    #expect(message(line) == expected)
  }

  @Test("wrong use is answered with the usage of the command and where to read more of it")
  func usage() {
    var text = ""
    let console = Console(out: { _ in }, err: { text += $0 })
    #expect(Stint.run(["create"], environment: [:], console: console) == 2)
    #expect(
      text
        == "stint: create: must specify -f\n"
        + "usage: stint create (-f FILE… | job NAME | cronjob NAME | token NAME) [-- COMMAND…] [flags]\n"
        + "`stint create --help` tells more.\n"
    )
    text = ""
    #expect(Stint.run(["crete"], environment: [:], console: console) == 2)
    #expect(text == "stint: unknown command \"crete\"; did you mean \"create\"?\n`stint --help` tells more.\n")
  }

  @Test("an address that is none is refused at once, not retried as a coordinator that is away")
  func badAddress() {
    var text = ""
    let console = Console(out: { _ in }, err: { text += $0 })
    #expect(Stint.run(["get", "jobs", "-s", "127.0.0.1"], environment: [:], console: console) == 1)
    #expect(text == "error: the coordinator's address \"127.0.0.1\" is not HOST:PORT\n")
  }

  @Test("durations are Go's, or seconds")
  func durations() {
    #expect(DurationFlag.milliseconds("90") == 90_000)
    #expect(DurationFlag.milliseconds("1m30s") == 90_000)
    #expect(DurationFlag.milliseconds("500ms") == 500)
    #expect(DurationFlag.milliseconds("-1s") == -1_000)
    for text in ["", "s", "1x", "--1", "1e30h"] { #expect(DurationFlag.milliseconds(text) == nil, "\(text)") }
  }

  @Test("agents on one machine share it, unless told otherwise; restarts slow down and end")
  func upSettings() throws {
    var machine = try MachineFacts.read(fallbackMachineID: "")
    machine.processors = 4
    machine.memory = 9_000
    #expect(UpShare.flags(agents: 3, overcommit: false, machine) == ["--cpu", "1333m", "--memory", "3000"])
    #expect(UpShare.flags(agents: 3, overcommit: true, machine) == [])
    #expect(UpShare.flags(agents: 1, overcommit: false, machine) == [])
    var pacer = RestartPacer(startedAt: 0)
    var pauses: [Int64?] = []
    for time in 1...6 { pauses.append(pacer.ended(at: Int64(time)).map { $0 / 1_000_000_000 }) }
    #expect(pauses == [1, 2, 4, 8, 16, nil])
    pacer.started(at: 100)
    #expect(pacer.ended(at: 101 + RestartPacer.forgiveness) == 1_000_000_000)
  }

  @Test("objects are named as kubectl names them")
  func targets() throws {
    #expect(try Target.parse(["po,jobs"]) == [Target(kind: .pods), Target(kind: .jobs)])
    #expect(try Target.parse(["job", "a", "b"]) == [Target(kind: .jobs, name: "a"), Target(kind: .jobs, name: "b")])
    #expect(try Target.parse(["job/a", "no/n"]) == [Target(kind: .jobs, name: "a"), Target(kind: .nodes, name: "n")])
    #expect(try Target.parse(["all"]) == [Target(kind: .pods), Target(kind: .jobs)])
    #expect(throws: CommandError("error: the server doesn't have a resource type \"jbs\"; did you mean \"jobs\"?")) {
      try Target.parse(["jbs"])
    }
  }

  @Test("every command has a help text with each of its flags, and short flags are not taken twice")
  func help() {
    for command in CommandTable.all {
      let text = Help.of(command)
      for flag in command.flags { #expect(text.contains("--\(flag.name)"), "\(command.name)") }
      #expect(command.flag(named: "help") != nil, "\(command.name)")
      let shorts = command.flags.compactMap(\.short)
      #expect(Set(shorts).count == shorts.count, "\(command.name)")
      #expect(Set(command.flags.map(\.name)).count == command.flags.count, "\(command.name)")
    }
  }

  @Test("every example of every command parses")
  func examples() throws {
    for command in CommandTable.all {
      for example in command.examples where example.line.hasPrefix("stint \(command.name) ") {
        let line = example.line.split(separator: ">")[0].replacing("'", with: "")
        let words = line.split(separator: " ").dropFirst().map(String.init)
        #expect(throws: Never.self, "\(example.line)") { try Arguments.parse(words, commands: CommandTable.all) }
      }
    }
  }

  @Test("completion scripts name every command and its flags, and none that is hidden", arguments: Completion.shells)
  func completion(shell: String) throws {
    let script = try #require(Completion.script(shell, CommandTable.all))
    for command in CommandTable.all where !command.hidden {
      #expect(script.contains(command.name))
      for flag in command.flags {
        #expect(script.contains(shell == "fish" ? "-l \(flag.name)" : "--\(flag.name)"), "\(command.name)")
      }
    }
    #expect(!script.contains("keeper)") && !script.contains("'keeper:"))
    #expect(Completion.script("tcsh", CommandTable.all) == nil)
  }

  @Test("every shell offers roles, and zsh the names of objects as bash does")
  func completionOfNames() throws {
    for shell in Completion.shells {
      let script = try #require(Completion.script(shell, CommandTable.all))
      #expect(script.contains("view edit admin cluster-admin"), "\(shell)")
    }
    let zsh = try #require(Completion.script("zsh", CommandTable.all))
    #expect(zsh.contains("'*: :{_stint_named \"") && zsh.contains("'*: :{_stint_names jobs}'"))
    #expect(zsh.contains(":namespace:{_stint_names namespaces}"))
  }

  @Test("help takes more than the command's name, and says what is so")
  func truths() throws {
    #expect(message("help token create") == "parsed as help")
    var text = ""
    let console = Console(out: { text += $0 }, err: { text += $0 })
    #expect(Stint.run(["help", "token", "create"], environment: [:], console: console) == 0)
    #expect(text.contains("Usage:") && text.contains("stint token"))
    for (line, said) in [
      ("up", "without HOME \(Endpoint.dataDirectory([:]))"), ("backup", "without HOME \(Endpoint.dataDirectory([:]))"),
      ("coordinator", "Required: "), ("restore", "Required: "), ("delete", "a Job's pods keep theirs"),
    ] {
      text = ""
      _ = Stint.run(["help", line], environment: [:], console: console)
      #expect(text.contains(said), "\(line): \(text)")
    }
  }

  @Test("a manifest may be what a shell hands over as a pipe, and what lies in a directory is a file")
  func pipes() throws {
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    defer { close(ends[0]) }
    try Files.writeAll(ends[1], Array("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}".utf8), path: "pipe")
    close(ends[1])
    let read = Manifests(paths: ["/dev/fd/\(ends[0])"])
    #expect(read.errors.isEmpty && read.objects.map(\.name) == ["a"])
    let directory = "/tmp/stint-pipes-\(getpid())"
    try Files.makeDirectory(directory)
    defer { try? Files.removeTree(directory) }
    #expect(mkfifo("\(directory)/a.yaml", 0o600) == 0)
    #expect(Manifests(paths: [directory]).errors == ["error: \(directory)/a.yaml: is no file, but a pipe"])
    // A command reads it more than once.
    var others: [Int32] = [0, 0]
    #expect(pipe(&others) == 0)
    defer { close(others[0]) }
    try Files.writeAll(others[1], Array("current-context: none".utf8), path: "pipe")
    close(others[1])
    for _ in 0..<2 { _ = try Kubeconfig(files: ["/dev/fd/\(others[0])"]) }
    let kubeconfig = #expect(throws: CommandError.self) { try Kubeconfig(files: ["\(directory)/a.yaml"]) }
    #expect(kubeconfig?.message.contains("is a pipe, and nobody writes to it") == true)
  }

  @Test("a URL is no path that does not exist")
  func url() {
    let errors = Manifests(paths: ["https://example.com/job.yaml"]).errors
    #expect(errors.count == 1 && errors.first?.contains("URLs are not read") == true, "\(errors)")
  }

  @Test("a backup that others may read is restored with a warning")
  func exposedBackup() throws {
    let path = "/tmp/stint-exposed-\(getpid())"
    try Files.writeAtomically(path, Array("no backup".utf8), mode: 0o644)
    defer { unlink(path) }
    for (mode, warns) in [(mode_t(0o644), true), (0o600, false)] {
      chmod(path, mode)
      var text = ""
      let console = Console(out: { _ in }, err: { text += $0 })
      #expect(Stint.run(["restore", path, "--data", "\(path).d"], environment: [:], console: console) == 1)
      #expect(text.contains("Warning: \(path) holds the cluster's authority") == warns, "\(text)")
    }
  }

  @Test("bash offers kinds once: after a kind come names of the line's cluster, and nothing that the shell would run")
  func completionAfterAKind() throws {
    let script = try #require(Completion.script("bash", CommandTable.all))
    // A program that has the objects KIND-1 (in a namespace: KIND-NAMESPACE) and one that nobody may expand.
    let program = "/tmp/stint-completed-\(getpid())"
    let answer = "#!/bin/bash\necho \"kind.group/$2-${6:-1}\"\necho 'kind/$(echo expanded)'\n"
    try Files.writeAtomically(program, Array(answer.utf8), mode: 0o700)
    defer { unlink(program) }
    func offered(_ words: [String]) throws -> String {
      let line = words.map { "'\($0)'" }.joined(separator: " ")
      let tail =
        "COMP_WORDS=(\(line)); COMP_CWORD=\(words.count - 1); COMP_LINE=\"${COMP_WORDS[*]}\"; "
        + "COMP_POINT=${#COMP_LINE}; _stint; echo \"${COMPREPLY[*]}\""
      let loop = try EventLoop()
      let path = "/tmp/stint-completion-\(getpid())-\(words.count)"
      try Files.writeAtomically(path, Array((script + tail).utf8))
      defer { unlink(path) }
      let output = "\(path).out"
      defer { unlink(output) }
      let descriptor = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
      defer { close(descriptor) }
      var options = Child.Options(path: "/bin/bash", arguments: ["bash", "--norc", path], environment: [])
      options.descriptors = [1: descriptor]
      let child = try Child(options)
      var ended = false
      try child.watch(loop: loop) { _ in ended = true }
      try loop.run(until: { ended })
      return try Files.readLine(output)
    }
    #expect(try offered(["stint", "get", "pod"]) == "pods poddisruptionbudgets")
    #expect(try offered(["stint", "-n", "x", "get", "po", ""]) == "")
    #expect(try offered(["stint", "get", "pods", "-o", "n"]) == "name")
    #expect(try offered([program, "get", "jobs", ""]) == "jobs-1")
    #expect(try offered([program, "describe", "job/j"]) == "job/job-1")
    #expect(try offered([program, "get", "jobs", "x"]) == "")
    #expect(try offered([program, "suspend", ""]) == "jobs-1")
    #expect(try offered([program, "get", "-n", ""]) == "namespaces-1")
    #expect(try offered([program, "get", "pods", "-n", "team", "p"]) == "pods-team")
  }
}
