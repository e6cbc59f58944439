// Owns: tests of what a container sees and how its runs end, on a real keeper: volumes, mounts, commands, signals.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

@Suite(.enabled(if: isRoot, "needs root")) struct ContainerTests {
  private func termination(_ status: PodStatus?) -> ContainerState.Termination? {
    status?.containers.first?.state.termination
  }

  private func configMap(_ data: JSON) -> JSONObject { JSONObject(entries: [("configmaps/quiz", ["data": data])]) }

  // MARK: - Ends

  @Test(
    "a command that cannot run ends with the code and message that Kubernetes shows",
    arguments: [
      (["/no/such/thing"], 127, "exec: \"/no/such/thing\": stat /no/such/thing: no such file or directory"),
      (["no-such-thing"], 127, "exec: \"no-such-thing\": executable file not found in $PATH"),
      (["/etc/passwd"], 126, "exec: \"/etc/passwd\": permission denied"),
    ])
  func cannotRun(command: [String], code: Int64, message: String) throws {
    let keeper = try TestKeeper()
    let container: JSON = ["name": "main", "image": "none", "command": .strings(command)]
    let end = termination(try keeper.finish(keeper.assignment(1, pod(container))).0)
    #expect(end?.exitCode == code)
    #expect(end?.reason == "ContainerCannotRun")
    #expect(end?.message == message)
  }

  @Test("a working directory that is none, a subPath that leaves its volume: the error names the path")
  func startErrors() throws {
    let keeper = try TestKeeper()
    let lost = shell("main", "true", more: ["workingDir": "/etc/passwd"])
    let first = termination(try keeper.finish(keeper.assignment(1, pod(lost))).0)
    #expect(first?.exitCode == 128)
    #expect(first?.reason == "StartError")
    #expect(first?.message == "chdir to workingDir \"/etc/passwd\": Not a directory")
    // An earlier container plants a link that leads out of the volume.
    let mounts: JSON = [["name": "v", "mountPath": "/mnt", "subPath": "out"]]
    let plant = shell("plant", "ln -s /etc /mnt/out", mounts: [["name": "v", "mountPath": "/mnt"]])
    let spec = pod(
      shell("main", "true", mounts: mounts), volumes: [["name": "v", "emptyDir": [:]]], initContainers: [plant])
    let second = termination(try keeper.finish(keeper.assignment(2, spec)).0)
    #expect(second?.reason == "StartError")
    #expect(second?.message.contains("Invalid cross-device link") == true, "\(second?.message ?? "")")
  }

  @Test("exit codes and signals are those of the container's first process")
  func exitCodes() throws {
    let keeper = try TestKeeper()
    let failed = termination(try keeper.finish(keeper.assignment(1, pod(shell("main", "exit 3")))).0)
    #expect(failed?.exitCode == 3)
    #expect(failed?.reason == "Error")
    // Kubernetes' expansion makes one `$` of two.
    let killed = termination(try keeper.finish(keeper.assignment(2, pod(shell("main", "kill -SEGV $$$$")))).0)
    #expect(killed?.exitCode == 139)
    #expect(killed?.signal == 11)
  }

  @Test("SIGTERM, then after the grace SIGKILL to all that the container started, double forks too")
  func grace() throws {
    let keeper = try TestKeeper()
    let mark = "\(keeper.scratch.path)/mark"
    let script = """
      trap 'echo told' TERM
      (setsid sh -c "trap '' TERM; while :; do : \(mark); sleep 0.02; done" &)
      echo up; while :; do sleep 0.02; done
      """
    try keeper.start(1, script: script)
    #expect(keeper.wait { keeper.log(1) == "up\n" && processes(with: mark).count > 1 })
    keeper.send(.stop(1, graceMilliseconds: 300))
    let end = termination(keeper.waitForEnd(1))
    #expect(end?.exitCode == 137)
    #expect(keeper.log(1) == "up\ntold\n")
    #expect(processes(with: mark) == [])
  }

  @Test("OnFailure restarts in place: the count, the previous log and the volume stay")
  func restart() throws {
    let keeper = try TestKeeper()
    let script = "echo run; if [ -e /mnt/seen ]; then echo again; exit 0; fi; touch /mnt/seen; exit 7"
    var spec = pod(
      shell("main", script, mounts: [["name": "v", "mountPath": "/mnt"]]), volumes: [["name": "v", "emptyDir": [:]]])
    spec["restartPolicy"] = "OnFailure"
    let (status, log) = try keeper.finish(keeper.assignment(1, spec))
    #expect(status?.phase == .succeeded)
    #expect(status?.containers.first?.restartCount == 1)
    #expect(status?.containers.first?.lastTermination?.exitCode == 7)
    #expect(log == "run\nagain\n")
    #expect(keeper.log(1, previous: true) == "run\n")
  }

  @Test("a container whose rule says so starts again, whatever the pod's policy") func restartRules() throws {
    let keeper = try TestKeeper()
    let rule: JSON = ["action": "Restart", "exitCodes": ["operator": "In", "values": [42]]]
    let main = shell(
      "main", "[ -e /mnt/seen ] && exit 0; touch /mnt/seen; exit 42", mounts: [["name": "v", "mountPath": "/mnt"]],
      more: ["restartPolicy": "Never", "restartPolicyRules": [rule]])
    let (status, _) = try keeper.finish(keeper.assignment(1, pod(main, volumes: [["name": "v", "emptyDir": [:]]])))
    #expect(status?.phase == .succeeded && status?.containers.first?.restartCount == 1)
  }

  @Test("init containers run in order, each to its end, before the others")
  func initOrder() throws {
    let keeper = try TestKeeper()
    let mounts: JSON = [["name": "v", "mountPath": "/mnt"]]
    func step(_ name: String) -> JSON { shell(name, "sleep 0.05; echo \(name) >>/mnt/order", mounts: mounts) }
    let spec = pod(
      shell("main", "cat /mnt/order", mounts: mounts), volumes: [["name": "v", "emptyDir": [:]]],
      initContainers: [step("first"), step("second")])
    let (status, log) = try keeper.finish(keeper.assignment(1, spec))
    #expect(status?.phase == .succeeded)
    #expect(log == "first\nsecond\n")
    let failing = pod(
      shell("main", "true"), volumes: [["name": "v", "emptyDir": [:]]],
      initContainers: [shell("first", "exit 4"), step("second")])
    let end = try keeper.finish(keeper.assignment(2, failing)).0
    #expect(end?.phase == .failed)
    #expect(end?.initContainers.first?.state.termination?.exitCode == 4)
    #expect(termination(end) == nil)
  }

  @Test("what a container writes to its terminationMessagePath is its end's message, cut to the last 4096 bytes")
  func terminationMessages() throws {
    let keeper = try TestKeeper()
    let before = text("/dev/termination-log")
    func message(_ attempt: AttemptNumber, _ script: String, _ more: JSON = [:]) throws -> String? {
      termination(try keeper.finish(keeper.assignment(attempt, pod(shell("main", script, more: more)))).0)?.message
    }
    #expect(try message(1, "echo well done >/dev/termination-log") == "well done\n")
    #expect(try message(2, "cat /dev/termination-log; true") == "")
    let long = "i=0; while [ $i -lt 600 ]; do echo 123456789; i=$((i+1)); done"
    let cut = try message(3, "(\(long)) >/dev/termination-log; exit 3")
    #expect(cut?.utf8.count == 4_096 && cut?.hasSuffix("\n123456789\n") == true)
    #expect(
      try message(4, "echo here >/usr/stint-message", ["terminationMessagePath": "/usr/stint-message"]) == "here\n")
    #expect(!Files.exists("/usr/stint-message"))
    #expect(text("/dev/termination-log") == before)
    #expect(try Files.list(keeper.paths.messages).count <= 33, "spares; what was written is gone")
  }

  @Test("FallbackToLogsOnError shows the end of a failed run's log, not of a good one, and a message of its own first")
  func logMessages() throws {
    let keeper = try TestKeeper()
    let policy: JSON = ["terminationMessagePolicy": "FallbackToLogsOnError"]
    func message(_ attempt: AttemptNumber, _ script: String) throws -> String? {
      termination(try keeper.finish(keeper.assignment(attempt, pod(shell("main", script, more: policy)))).0)?.message
    }
    #expect(try message(1, "echo one; echo two; exit 3") == "one\ntwo\n")
    #expect(try message(2, "echo one") == "")
    #expect(try message(6, "printf 'no end'; exit 3") == "no end")
    #expect(try message(3, "echo log; echo mine >/dev/termination-log; exit 3") == "mine\n")
    #expect(try message(4, "exit 3") == "")
    let cut = try message(5, "i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); done; exit 1")
    #expect(cut?.hasPrefix("line 120\n") == true && cut?.hasSuffix("line 199\n") == true)
  }

  // MARK: - Surroundings

  @Test("files of Secrets, ConfigMaps and the downward API come with their modes, read-only, and are gone with the pod")
  func writtenVolumes() throws {
    let keeper = try TestKeeper()
    // "p4ss" and "q" in base64.
    let references: JSONObject = [
      "secrets/s": ["data": ["key": "cDRzcw==", "other": "cQ=="]], "configmaps/c": ["data": ["map": "m"]],
    ]
    let volumes: JSON = [
      ["name": "plain", "secret": ["secretName": "s", "defaultMode": 420]],
      [
        "name": "all",
        "projected": [
          "defaultMode": 256,
          "sources": [
            ["secret": ["name": "s", "items": [["key": "key", "path": "deep/pass", "mode": 384]]]],
            ["configMap": ["name": "c"]], ["secret": ["name": "absent", "optional": true]],
            [
              "downwardAPI": [
                "items": [
                  ["path": "name", "fieldRef": ["fieldPath": "metadata.name"]],
                  ["path": "note", "fieldRef": ["fieldPath": "metadata.annotations"]],
                  ["path": "cpu", "resourceFieldRef": ["containerName": "main", "resource": "limits.cpu"]],
                ]
              ]
            ],
          ],
        ],
      ],
    ]
    let script = """
      cd /run/stint-plain; for f in *; do echo $f $(stat -c %a $f) $(cat $f); done
      cd /run/stint-all; for f in deep/pass map name note cpu; do echo $f $(stat -c %a $f) $(cat $f); done
      touch new 2>/dev/null || echo read-only
      """
    let main = shell(
      "main", script,
      mounts: [
        ["name": "plain", "mountPath": "/run/stint-plain"], ["name": "all", "mountPath": "/run/stint-all"],
      ])
    let assignment = keeper.assignment(
      1, pod(main, volumes: volumes), references: references, annotations: ["k": "v w"])
    let (status, log) = try keeper.finish(assignment)
    #expect(status?.phase == .succeeded)
    #expect(
      log == """
        key 644 p4ss
        other 644 q
        deep/pass 600 p4ss
        map 400 m
        name 400 pod-1
        note 400 k="v w"
        cpu 400 4
        read-only

        """)
    #expect(!text(keeper.paths.keeperJournal).contains("p4ss"))
  }

  @Test(
    "what a volume lacks is said in kubelet's words",
    arguments: [
      (["secret": ["secretName": "no"]], "secret \"no\" not found"),
      (
        ["secret": ["secretName": "s", "items": [["key": "no", "path": "p"]]]],
        "references non-existent secret key: no"
      ),
      (
        ["projected": ["sources": [["secret": ["name": "no"]], ["configMap": ["name": "no"]]]]],
        "[secret \"no\" not found, configmap \"no\" not found]"
      ),
    ] as [(JSON, String)])
  func missingSources(source: JSON, message: String) throws {
    let scratch = try Scratch()
    var volume = source
    volume["name"] = "v"
    let spec = PodSpec(json: pod(shell("main", "true"), volumes: [volume]))
    let assignment = Assignment(
      attempt: 1, keeper: "k", session: "s", namespace: "default", podName: "p", podUID: "u", labels: [:],
      annotations: [:], spec: spec, references: ["secrets/s": ["data": ["key": "YQ=="]]], tolerationMilliseconds: nil)
    let paths = NodePaths(data: scratch.path)
    let error = #expect(throws: VolumeError.self) {
      try Volumes.make(assignment, paths: paths, place: testPlace(assignment, paths))
    }
    #expect(error?.message == "MountVolume.SetUp failed for volume \"v\" : \(message)")
    #expect(error?.reason == "ContainerCreating")
    #expect(error?.retryable == true)
  }

  @Test("the keeper's environment is not inherited, and the pod has its own variables and name")
  func environment() throws {
    var setting = KeeperSetting()
    setting.environment += ["SECRET=of the agent"]
    let keeper = try TestKeeper(setting)
    let container: JSON = [
      "name": "main", "image": "none", "command": ["/usr/bin/env"], "env": [["name": "A", "value": "b"]],
    ]
    let lines = try keeper.finish(keeper.assignment(7, pod(container))).1.split(separator: "\n")
    #expect(!lines.contains { $0.hasPrefix("SECRET") })
    #expect(lines.contains("A=b"))
    #expect(lines.contains("HOSTNAME=pod-7"))
    #expect(lines.contains("STINT_FENCING_TOKEN=7"))
  }

  @Test("pods run as the pod user, who can write to an emptyDir and read a ConfigMap")
  func podUser() throws {
    let keeper = try TestKeeper(KeeperSetting(podUser: "nobody"))
    let mounts: JSON = [["name": "e", "mountPath": "/mnt"], ["name": "c", "mountPath": "/srv"]]
    let spec = pod(
      shell("main", "id -u; echo x >/mnt/x && cat /mnt/x /srv/q", mounts: mounts),
      volumes: [["name": "e", "emptyDir": [:]], ["name": "c", "configMap": ["name": "quiz"]]])
    let (status, log) = try keeper.finish(keeper.assignment(1, spec, references: configMap(["q": "?\n"])))
    #expect(status?.phase == .succeeded, "\(log)")
    #expect(log == "65534\nx\n?\n")
  }

  @Test("a script whose interpreter is missing is told apart from one that is missing, Windows line ends are named")
  func interpreters() throws {
    let keeper = try TestKeeper()
    let directory = keeper.scratch.path
    var attempt: AttemptNumber = 0
    for (line, name, hint) in [
      ("#!/bin/sh\r", "\"/bin/sh\\r\"", " (the script has Windows line ends)"),
      ("#! /no/such/perl -w", "\"/no/such/perl\"", ""),
    ] {
      try Files.writeAtomically("\(directory)/script", Array("\(line)\ntrue\n".utf8), mode: 0o755)
      // By another process: a child that another test has just forked would hold the descriptor (ETXTBSY).
      #expect(try run("/bin/cp", "--preserve=mode", "\(directory)/script", "\(directory)/run.sh"))
      for command in ["\(directory)/run.sh", "run.sh"] {
        attempt += 1
        let container: JSON = [
          "name": "main", "image": "none", "command": .strings([command]),
          "env": [["name": "PATH", "value": .string("/usr/bin:\(directory)")]],
        ]
        let end = termination(try keeper.finish(keeper.assignment(attempt, pod(container))).0)
        #expect(end?.message == "exec: \"\(command)\": its interpreter \(name): no such file or directory\(hint)")
        #expect(end?.exitCode == 127)
        #expect(end?.reason == "ContainerCannotRun")
      }
    }
  }

  @Test("HOME is that of whoever the pod runs as, unless the manifest names one", arguments: [false, true])
  func home(asNobody: Bool) throws {
    let keeper = try TestKeeper(KeeperSetting(podUser: asNobody ? "nobody" : nil))
    let expected = try #require(getpwuid(asNobody ? 65534 : 0).map { String(cString: $0.pointee.pw_dir) })
    let script = "set -u; echo $HOME"
    #expect(try keeper.finish(keeper.assignment(1, pod(shell("main", script)))).1 == "\(expected)\n")
    let own = shell("main", script, more: ["env": [["name": "HOME", "value": "/own"]]])
    #expect(try keeper.finish(keeper.assignment(2, pod(own))).1 == "/own\n")
  }

  @Test("a set-uid program of root's gives a pod of --pod-user nothing")
  func setUserID() throws {
    let keeper = try TestKeeper(KeeperSetting(podUser: "nobody"))
    let program = "\(keeper.scratch.path)/id"
    try Files.writeAtomically(program, try Files.read("/usr/bin/id"), mode: 0o4755)
    // By hand it works: else the test would show nothing.
    try #require(try run(nobody + ["/bin/sh", "-c", "test $(\(program) -u) = 0"]), "the file system knows no set-uid")
    let log = try keeper.finish(keeper.assignment(1, pod(shell("main", "\(program) -u")))).1
    #expect(log == "65534\n")
  }
}
