# Installs and starts the peers. Sourced after world.bash; fills `address` and `pid`.

peers=(nginx bun tuned published)
here=loadtest/peers
bun=target/peers/node_modules/.bin/bun

install_peers() {
    local missing=()
    command -v node >/dev/null || missing+=(nodejs)
    command -v npm >/dev/null || missing+=(npm)
    [[ -e /usr/lib/nginx/modules/ngx_http_lua_module.so ]] || missing+=(nginx libnginx-mod-http-lua)
    [[ -e /usr/share/doc/lua-cjson ]] || missing+=(lua-cjson)
    if (( ${#missing[@]} )); then
        local command="apt-get install -y --no-install-recommends ${missing[*]}"
        (( EUID == 0 )) && command -v apt-get >/dev/null || die "missing: ${missing[*]}. On Debian: sudo $command"
        # without this the packages start servers of their own
        local policy=/usr/sbin/policy-rc.d ours=no status=0
        [[ -e "$policy" ]] || { ours=yes && printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"; }
        { apt-get update -q && DEBIAN_FRONTEND=noninteractive $command; } >"$folder/last.log" 2>&1 || status=$?
        [[ "$ours" == no ]] || rm -f "$policy"
        (( status == 0 )) || die "could not install ${missing[*]}: $(tail -n 5 "$folder/last.log")"
    fi
    [[ -x "$bun" ]] || npm install --silent --no-fund --no-audit --prefix target/peers bun@1 >"$folder/last.log" 2>&1 ||
        die "could not install bun: $(tail -n 5 "$folder/last.log")"
}

start_peers() {
    local peer port
    for peer in "${peers[@]}"; do
        port=$(free_port)
        address[$peer]=127.0.0.1:$port
        case "$peer" in
            nginx)
                sed -e "s|@FOLDER@|$folder|; s|@HERE@|$PWD/$here|; s|@KEY@|$key|; s|@CROWD@|$crowd|; s|@LISTEN@|${address[nginx]}|" \
                    "$here/nginx.conf" >"$folder/nginx.conf"
                on_core "$SERVER_CORE" nginx -c "$folder/nginx.conf" -e "$folder/nginx.log"
                ;;
            bun) KEY=$key CROWD=$crowd PORT=$port on_core "$SERVER_CORE" "$bun" "$here/bun.mjs" ;;
            *) KEY=$key CROWD=$crowd PORT=$port on_core "$SERVER_CORE" node "$here/$peer.mjs" ;;
        esac
        pid[$peer]=$!
        wait_for "${pid[$peer]}" "$port"
    done
}

versions() {
    printf 'nginx %s, Bun %s, Node.js %s\n' "$(nginx -v 2>&1 | sed 's|.*/||; s| .*||')" "$("$bun" --version)" "$(node --version)"
}
