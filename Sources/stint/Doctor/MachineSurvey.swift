// Owns: reading what there is to know of this machine and of the data directories on it. It must not judge any of it
// (MachineChecks).

import AgentCore
import CLinux
import ClusterIO
import ClusterProto
import Coordinator
import Glibc
import NodeAgent

/// A machine, as it was found.
struct MachineSurvey {
  /// A directory that a coordinator or an agent has, or could have.
  struct Place {
    enum Use: String { case coordinator, agent }

    var path: String
    var use: Use
    /// Free for others than root, and all of it; nil: the file system does not say.
    var room: (available: UInt64, total: UInt64)?
    var inodes: (available: UInt64, total: UInt64)?
    /// Others may look into it or write to it.
    var exposure: String?
    /// The process that runs there; nil: none.
    var holder: Int32?
    /// What is wrong with that process, and what to do.
    var trouble: (what: String, advice: String)?
    /// When certificates end, seconds since 1970.
    var ends: [(what: String, end: Int64, isRenewed: Bool)] = []
    /// Why it, or its certificates, cannot be read.
    var unreadable: String?
  }

  var isRoot = false
  var version = Version.current
  var system = ""
  /// nil: it could not be tried.
  var trial: MachineTrial?
  var trialProblem = ""
  /// Namespaces that a user may make; nil: the kernel does not say.
  var userNamespaces: Int64?
  /// The kernel holds its clock to be kept right, and how wrong it may be; nil: it does not say.
  var clock: (isKept: Bool, errorMilliseconds: Int64)?
  /// The hard limit of open files.
  var files: Int64 = 0
  /// Programs that are in PATH, of those that are asked for.
  var programs: Set<String> = []
  var places: [Place] = []

  static func read(data: String?, _ environment: [String: String]) -> MachineSurvey {
    var survey = MachineSurvey()
    survey.isRoot = geteuid() == 0
    if let facts = try? MachineFacts.read(fallbackMachineID: "") {
      survey.system = "\(facts.osImage), Linux \(facts.kernelRelease), \(facts.architecture), "
      survey.system += "\(facts.processors) processors, \(Quantity.rounded(facts.memory)) of memory"
    }
    do throws(IOError) { survey.trial = try MachineTrial.run() } catch { survey.trialProblem = error.description }
    survey.userNamespaces = (try? Files.readLine("/proc/sys/user/max_user_namespaces")).flatMap { Int64($0) }
    var error: Int64 = 0
    let state = stint_clock_state(&error)
    if state >= 0 { survey.clock = (state == 1, error / 1_000) }
    var limit = rlimit()
    if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
      survey.files = Int64(clamping: limit.rlim_max)
    }
    let folders = (environment["PATH"] ?? "").split(separator: ":")
    for program in MachineChecks.programs.map(\.name)
    where folders.contains(where: { access("\($0)/\(program)", X_OK) == 0 }) { survey.programs.insert(program) }
    survey.places = found(data, environment).map(look)
    return survey
  }

  /// What is asked for, else all that is where it usually is.
  private static func found(_ data: String?, _ environment: [String: String]) -> [(String, Place.Use)] {
    guard let data else {
      let up = Endpoint.dataDirectory(environment)
      return below(up) + (up == "/var/lib/stint" ? [] : below("/var/lib/stint")) + below("/var/lib/stint-agent")
        + below("\(up)-agent")
    }
    let places = below(data)
    return places.isEmpty ? [(data, .agent)] : places
  }

  /// The data directories in that of a coordinator, an agent or `stint up`.
  private static func below(_ path: String) -> [(String, Place.Use)] {
    if Files.exists("\(path)/agent.lock") || Files.exists(NodePaths(data: path).identity) { return [(path, .agent)] }
    if DataDirectory(path: path).hasIdentity { return [(path, .coordinator)] }
    var places: [(String, Place.Use)] = []
    if DataDirectory(path: "\(path)/coordinator").hasIdentity { places.append(("\(path)/coordinator", .coordinator)) }
    for node in ((try? Files.list("\(path)/agents")) ?? []).sorted().prefix(100) {
      places.append(("\(path)/agents/\(node)", .agent))
    }
    return places
  }

  private static func look(_ path: String, _ use: Place.Use) -> Place {
    var place = Place(path: path, use: use)
    var existing = path
    while !Files.exists(existing), existing != "/" { existing = Files.split(existing).parent }
    place.room = try? Files.space(existing)
    place.inodes = try? Files.inodes(existing)
    guard existing == path else { return place }
    place.exposure = PrivateFiles.exposure(of: path)
    let lock = use == .coordinator ? "\(path)/lock" : NodePaths(data: path).agentLock
    do throws(IOError) {
      _ = try Files.status(lock)
    } catch {
      if ![ENOENT, ENOTDIR].contains(error.code) {
        place.unreadable = error.description
        return place
      }
    }
    place.holder = AgentStop.holder(of: lock)
    place.trouble = place.holder.flatMap(trouble)
    readCertificates(&place)
    return place
  }

  private static func trouble(_ pid: Int32) -> (what: String, advice: String)? {
    if let found = ProcessTrouble.read(pid: pid) { return (found.words, ProcessTrouble.advice) }
    // The state stands behind the name, which may hold anything.
    let line = (try? Files.readLine("/proc/\(pid)/stat")) ?? ""
    guard let end = line.lastIndex(of: ")"), line[end...].hasPrefix(") T") else { return nil }
    return ("is stopped (SIGSTOP), so that it does nothing", "kill -CONT \(pid)")
  }

  private static func readCertificates(_ place: inout Place) {
    do throws(IOError) {
      switch place.use {
      case .agent:
        guard let identity = try Identity.found(in: NodePaths(data: place.path).identity) else { return }
        if let end = Certificates.end(identity.own.certificate) { place.ends.append(("its certificate", end, true)) }
        if let end = Certificates.end(identity.authority) { place.ends.append(("the authority", end, false)) }
      case .coordinator:
        let file = "\(place.path)/pki/authority.pem"
        guard Files.exists(file) else { return }
        let bytes = try Files.read(file, limit: PrivateFiles.limit)
        if let end = Certificates.end(bytes) { place.ends.append(("the authority", end, false)) }
      }
    } catch {
      place.unreadable = error.description
    }
  }
}

extension Quantity {
  /// For people: `7.8Gi`.
  static func rounded(_ bytes: UInt64) -> String {
    let units = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
    var (rest, unit) = (Double(bytes), 0)
    while rest >= 1_024, unit < units.count - 1 { (rest, unit) = (rest / 1_024, unit + 1) }
    let tenths = Int64((rest * 10).rounded(.down))
    return tenths >= 100 || unit == 0 ? "\(tenths / 10)\(units[unit])" : "\(tenths / 10).\(tenths % 10)\(units[unit])"
  }
}
