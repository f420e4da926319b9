use super::*;

/// Nobody else's: no outgoing connection of this machine has a port here.
const HOST: &str = "127.0.0.77";

/// The membership in which server 1 is at these ports.
fn membership(quorum: u16, election: u16, role: &str) -> Errand {
    let text = format!("server.1={HOST}:{quorum}:{election}:{role}\nserver.2=127.0.0.2:1:2");
    Errand::Memberships(Membership::parse(&text).expect("a membership").into())
}

fn listens(port: u16) -> bool {
    TcpStream::connect((HOST, port)).is_ok()
}

#[test]
fn a_server_listens_where_the_membership_says_and_for_what_its_role_needs() {
    let [quorum, election, next_quorum, next_election, master] = free_ports();
    let place = |port| vec![HostPort { host: Host::parse(HOST).expect("a host"), port }];
    let mut options = options(1);
    (options.quorum, options.election) = (place(quorum), place(election));
    options.observer_master_port = Some(master);
    let station = Station::with(options);
    let ports = [quorum, election, next_quorum, next_election, master];
    let check = |(quorum, election, role), expected| {
        station.run(membership(quorum, election, role));
        station.catch_up();
        assert_eq!(ports.map(listens), expected, "{role} at {quorum}");
    };
    check((quorum, election, "observer"), [true, true, false, false, false]);
    check((quorum, election, "participant"), [true, true, false, false, true]);
    check((next_quorum, next_election, "participant"), [false, false, true, true, true]);
    check((next_quorum, next_election, "observer"), [false, false, true, true, false]);
}

/// Ports on which nobody listens.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind((HOST, 0)).expect("a port"));
    listeners.map(|it| it.local_addr().expect("an address").port())
}
