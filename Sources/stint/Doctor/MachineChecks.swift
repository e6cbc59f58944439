// Owns: what is wrong with a machine as it was found, and what to do about it. Pure. It must not look at anything by
// itself (MachineSurvey).

import AgentCore
import ClusterProto
import NodeAgent

/// Judges a `MachineSurvey`.
enum MachineChecks {
  /// Programs that others of ours start, and what for.
  static let programs: [(name: String, use: String, package: String)] = [
    ("bwrap", "an agent without root isolates pods by it", "bubblewrap"),
    ("skopeo", "an agent that is root fetches images by it", "skopeo"),
  ]
  /// A certificate that nobody renews by itself is told of so long before its end.
  static let soonSeconds: Int64 = 14 * 86_400
  /// One that is renewed by itself, between half and four fifths of its life, has been late by then.
  static let lateSeconds: Int64 = 3 * 86_400
  private static let fewFiles: Int64 = 4_096

  static func all(_ survey: MachineSurvey, now: WallTime) -> [Diagnosis] {
    var findings = [Diagnosis.ok("stint", "\(survey.version); \(survey.system)")]
    findings += isolation(survey) + limits(survey)
    findings.append(clock(survey))
    findings += needs(survey)
    findings.append(files(survey))
    for place in survey.places { findings += check(place, now: now) }
    if survey.places.isEmpty {
      findings.append(
        .skipped(
          "data", "no coordinator and no agent has a data directory where they usually are",
          "--data DIR looks at another one"))
    }
    return findings
  }

  private static func isolation(_ survey: MachineSurvey) -> [Diagnosis] {
    guard let trial = survey.trial else {
      return [.problem("isolation", survey.trialProblem, "run it again; the message says what could not be tried")]
    }
    if trial.isolates { return [.ok("isolation", trial.isolation)] }
    if survey.userNamespaces == 0, !survey.isRoot {
      return [
        .problem(
          "isolation", trial.isolation, "sysctl -w user.max_user_namespaces=15000 (and in /etc/sysctl.d), or be root")
      ]
    }
    return [
      .problem(
        "isolation", trial.isolation,
        survey.isRoot
          ? "in a container: start it with --privileged, /proc unmasked"
          : "apt-get install bubblewrap, and let users make namespaces; or run the agent as root")
    ]
  }

  private static func limits(_ survey: MachineSurvey) -> [Diagnosis] {
    guard let trial = survey.trial else { return [] }
    let words = trial.limits.words.message
    if trial.limits.isWhole, trial.freezeProblem.isEmpty { return [.ok("cgroups", "\(words); pods can be frozen")] }
    guard survey.isRoot else {
      return [
        .warning(
          "cgroups", "limits of CPU and memory are not enforced: an agent without root has no cgroups",
          "run the agent as root where limits have to hold")
      ]
    }
    var findings: [Diagnosis] = []
    if !trial.limits.isWhole {
      findings.append(
        .warning(
          "cgroups", words,
          "have cgroup v2 handed on with cpu, memory and pids: systemd's Delegate=yes, or "
            + "cgroup_no_v1=all on the kernel's command line"))
    }
    if !trial.freezeProblem.isEmpty {
      findings.append(
        .warning(
          "freezing", "pods are frozen by SIGSTOP, since there is no cgroup for it: \(trial.freezeProblem)",
          "mount cgroup v2 writable for the agent; a pod's program can see SIGSTOP, and not a freezer"))
    }
    return findings
  }

  private static func clock(_ survey: MachineSurvey) -> Diagnosis {
    guard let clock = survey.clock else { return .skipped("clock", "the kernel does not say whether it is kept right") }
    if clock.isKept { return .ok("clock", "kept right by NTP, to within \(clock.errorMilliseconds) ms") }
    return .warning(
      "clock", "nobody keeps it right (NTP): certificates and times in logs go by it; leases do not",
      "apt-get install chrony, or timedatectl set-ntp true; in a container or virtual machine: on its host")
  }

  private static func needs(_ survey: MachineSurvey) -> [Diagnosis] {
    programs.filter { ($0.name == "skopeo") == survey.isRoot }.map { program in
      if survey.programs.contains(program.name) { return .ok(program.name, "is there") }
      // Its lack is an agent's without root, and told by the trial, in more words.
      return .warning(
        program.name, "is not in PATH: \(program.use)", "apt-get install \(program.package)")
    }
  }

  private static func files(_ survey: MachineSurvey) -> Diagnosis {
    if survey.files >= fewFiles { return .ok("open files", "\(survey.files) at most") }
    return .warning(
      "open files", "a process may have \(survey.files) open: few agents and clients find a place in a coordinator",
      "raise the hard limit: LimitNOFILE=65536 of the unit, or /etc/security/limits.conf")
  }

  // Data directories.

  private static func check(_ place: MachineSurvey.Place, now: WallTime) -> [Diagnosis] {
    let subject = place.use.rawValue
    var findings: [Diagnosis] = []
    if let trouble = place.trouble {
      findings.append(
        .problem(subject, "process \(place.holder ?? 0) of \(place.path) \(trouble.what)", trouble.advice))
    } else if place.holder == nil, let unreadable = place.unreadable {
      findings.append(.skipped(subject, unreadable, "run it as the user who owns \(place.path)"))
    } else if let holder = place.holder {
      findings.append(.ok(subject, "runs on \(place.path) (process \(holder))"))
    } else {
      findings.append(
        .warning(
          subject, "none runs on \(place.path)",
          place.use == .coordinator
            ? "stint coordinator --data \(place.path); one of `stint up`: stint up"
            : "stint agent --data \(place.path); one of `stint up`: stint up"))
    }
    if let exposure = place.exposure { findings.append(.warning(subject, exposure, "as it says")) }
    findings += disk(place)
    if place.holder != nil, let unreadable = place.unreadable {
      findings.append(.warning("certificates", unreadable, "run it as the user who owns \(place.path)"))
    }
    for (what, end, isRenewed) in place.ends {
      let whose = "\(what) of \(place.path)"
      let advice =
        isRenewed
        ? "the agent renews it while it reaches the coordinator: see its log; else: stint token create --node NAME"
        : "stint ca rotate, while the coordinator runs"
      findings.append(certificate(whose, end, isRenewed: isRenewed, advice, now: now))
    }
    return findings
  }

  /// One certificate against the clock.
  static func certificate(_ what: String, _ end: Int64, isRenewed: Bool, _ advice: String, now: WallTime) -> Diagnosis {
    let left = Int64(clamping: Int128(end) - Int128(now.seconds))
    let time = WallTime(nanoseconds: Int64(clamping: Int128(end) * 1_000_000_000)).rfc3339
    if left <= 0 { return .problem("certificates", "\(what) ended at \(time)", advice) }
    let span = humanDuration(milliseconds: Int64(clamping: Int128(left) * 1_000))
    if left < (isRenewed ? lateSeconds : soonSeconds) {
      return .warning("certificates", "\(what) ends in \(span), at \(time)", advice)
    }
    return .ok("certificates", "\(what) is valid for \(span)")
  }

  private static func disk(_ place: MachineSurvey.Place) -> [Diagnosis] {
    let usual = EvictionSettings()
    guard let room = place.room, room.total > 0 else { return [.skipped("disk", "of \(place.path): it does not say")] }
    let left = "\(Quantity.rounded(room.available)) of \(Quantity.rounded(room.total)) free for \(place.path)"
    let least = UInt64(clamping: usual.disk.amount(of: Int64(clamping: room.total)))
    let advice = "make room: stint image rm, old files; a node takes no pods below \(Quantity.rounded(least))"
    if room.available < least { return [.problem("disk", left, advice)] }
    if let inodes = place.inodes, inodes.total > 0 {
      let fewest = UInt64(clamping: usual.inodes.amount(of: Int64(clamping: inodes.total)))
      if inodes.available < fewest {
        return [
          .problem("disk", "\(inodes.available) of \(inodes.total) inodes free for \(place.path)", "remove small files")
        ]
      }
    }
    if room.available < least * 2 { return [.warning("disk", left, advice)] }
    return [.ok("disk", left)]
  }
}
